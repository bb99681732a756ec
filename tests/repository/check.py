#!/usr/bin/env python3
"""check.py CHECK ROOT: runs one check of the repository. check.py self-test: shows that each can fail."""

import pathlib
import sys
import tempfile

import checks

UP = ".." + "/"  # in parts, so that this file does not refer outside itself

CLEAN = {
    "base/src/environment.cpp": 'VariableInfo v = VariableInfo{Variable::log, "HOLDFAST_LOG", "x"};\n',
    "docs/configuration.md": "| variable | meaning |\n|---|---|\n| `HOLDFAST_LOG` | level |\n",
    "numa/src/a.cpp": '#include <hwloc.h>\n\n#include "holdfast/base/result.h"\n',
    "fabric/ofi/a.cpp": '#include <rdma/fabric.h>\n\n#include "holdfast/numa/topology.h"\n',
    "core/src/a.cpp": '#include "holdfast/store.h"\n',
    "tests/core/a.cpp": '#include "core/src/a.h"\n',
    "docs/a.md": "see " + UP + "README.md\n",
    ".clang-format": "BasedOnStyle: Google\n",
}

# For each check: files that break it, one set a violation.
PLANTED = {
    "floors": [
        {"base/src/b.cpp": '#include "holdfast/numa/arena.h"\n'},
        {"fabric/src/b.cpp": '#include "holdfast/store.h"\n'},
        {"core/src/b.cpp": '#include "tests/core/a.h"\n'},
        {"numa/include/holdfast/numa/b.h": '#include "core/src/block.h"\n'},
    ],
    "owned_headers": [
        {"core/src/b.cpp": "#include <rdma/fabric.h>\n"},
        {"core/src/b.cpp": "#include <hwloc.h>\n"},
        {"fabric/src/b.cpp": "#include <pmix.h>\n"},
        {"fabric/launch/b.cpp": "#include <mpi.h>\n"},
    ],
    "stays_inside": [
        {"docs/b.md": "see " + "/wo" + "rk/notes.md\n"},
        {"docs/b.md": "see " + UP + UP + "notes.md\n"},
        {"CMakeLists.txt": "include(" + UP + "other/a.cmake)\n"},
        {"numa/src/b.cpp": '#include "' + UP * 3 + 'a.h"\n'},
    ],
    "variables": [
        {"docs/configuration.md": "| `HOLDFAST_RANK` | rank |\n"},
        {"docs/configuration.md": "| `HOLDFAST_LOG` | level |\n| `HOLDFAST_LOGS` | no |\n"},
        {"docs/configuration.md": "| `HOLDFAST_LOG` | level |\n| `HOLDFAST_LOG` | twice |\n"},
        {"base/src/environment.cpp": "int nothing;\n"},
    ],
    "one_environment": [{"core/src/b.cpp": 'const char* v = std::getenv("HOLDFAST_LOG");\n'}],
    "lengths": [{"core/src/b.cpp": "int x;\n" * 501}],
    "formatting": [{"core/src/b.cpp": "int   x ;\n"}],
}


def plant(root, contents):
    for name, text in contents.items():
        path = pathlib.Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def self_test():
    failures = [f"{name}: has no planted violation" for name in checks.ALL if not PLANTED.get(name)]
    for name, check in checks.ALL.items():
        for violation in [None, *PLANTED.get(name, [])]:
            with tempfile.TemporaryDirectory() as root:
                plant(root, CLEAN)
                plant(root, violation or {})
                try:
                    found = check(root)
                except checks.Skip as why:
                    print(f"{name}: not tested: {why}")
                    break
                if violation is None and found:
                    failures.append(f"{name}: complains about clean files: {found}")
                if violation is not None and not found:
                    failures.append(f"{name}: overlooks {violation}")
    return failures


def main():
    name = sys.argv[1]
    try:
        found = self_test() if name == "self-test" else checks.ALL[name](sys.argv[2])
    except checks.Skip as why:
        print("skipped:", why)
        return 77
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
