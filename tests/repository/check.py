#!/usr/bin/env python3
"""check.py CHECK ROOT: runs one check of the repository. check.py self-test: shows that each can fail."""

import itertools
import pathlib
import shutil
import subprocess
import sys
import tempfile

import checks

UP = ".." + "/"  # in parts, so that this file does not refer outside itself

CLEAN = {
    "base/src/environment.cpp": 'VariableInfo v = VariableInfo{Variable::log, "HOLDFAST_LOG", "x"};\n',
    "docs/configuration.md": "| variable | meaning |\n|---|---|\n| `HOLDFAST_LOG` | level |\n",
    "numa/src/a.cpp": '#include <hwloc.h>\n\n#include "holdfast/base/result.h"\n',
    "fabric/ofi/a.cpp": '#include <rdma/fabric.h>\n\n#include "holdfast/numa/topology.h"\n',
    "core/src/a.cpp": '#include "src/a.h"\n\n#include "a.h"\n#include "holdfast/store.h"\n\n'
                      '// #include "tests/core/a.h"\nconst char* text = R"(\n#include "tests/core/a.h"\n)";\n',
    "core/src/a.h": "/*\n#include MACRO\n*/\n",
    "cli/run/main.cpp": 'const char* v = getenv("TMPDIR");  // not getenv("HOLDFAST_LOG")\n',
    "cli/run/a.cpp": '// getenv\nconst char* environment = "/proc/self/environ";\n',
    "tests/core/a.cpp": '#include "core/src/a.h"\n\nconst char* v = getenv("ANY");\n',
    "docs/a.md": "see " + UP + "README.md, /usr/bin/env, /proc/self/maps, and/or, 1..5, main..HEAD, a/home/b ...\n",
    ".clang-format": "BasedOnStyle: Google\n",
}

# Only in a checkout: what git does not know is nobody's concern.
NOT_TRACKED = {".gitignore": "/notes.md\n", "notes.md": "see " + "/ho" + "me/me\n"}

# For each check: files that break it, one set a violation.
PLANTED = {
    "floors": [
        {"base/src/b.cpp": '#include "holdfast/numa/arena.h"\n'},
        {"fabric/src/b.cpp": '#include "holdfast/store.h"\n'},
        {"core/src/b.cpp": '#include "tests/core/a.h"\n'},
        {"numa/include/holdfast/numa/b.h": '#include "core/src/block.h"\n'},
        {"base/src/b.cpp": '#include "' + UP * 2 + 'core/include/holdfast/version.h"\n'},
        {"tests/core/b.cpp": '#include "' + UP + 'core/a.h"\n'},
        {"tests/core/b.cpp": '#include "/usr/include/hwloc.h"\n'},
        {"base/src/b.cpp": '/* because */ #include "holdfast/store.h"\n'},
        {"base/src/b.cpp": '#include /* because */ "holdfast/store.h"\n'},
        {"base/src/b.cpp": '# \\\n include \\\n "holdfast/store.h"\n'},
        {"base/src/b.cpp": '#define STORE "holdfast/store.h"\n#include STORE\n'},
        {"cli/doctor/b.cpp": '#include "core/src/a.h"\n'},
        {"cli/doctor/b.cpp": '#include "src/a.h"\n'},
        {"cli/doctor/b.cpp": '#include <src/a.h>\n'},
        {"cli/doctor/b.cpp": '#include "a.h"\n'},
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
        {"ci/b": 'source "' + UP * 2 + 'common.sh"\n'},
        {"ci/b": 'cd "$(dirname "$0")/' + UP + '.."\n'},
        {"build_all": "cd ..\n"},
        {".ci/run": "cp /ro" + "ot/key .\n"},
        {"LICENSE": "see file:///ho" + "me/me/licence\n"},
        {"ci/b.supp": "leak:/op" + "t/vendor/lib.so\n"},
        {"ci/b.supp": "leak:/mn" + "t\n"},
        {"CMakeLists.txt": "add_compile_options(-I/sha" + "red/include)\n"},
        {"docs/b.md": "see /proj" + "ect/notes\n"},
        {"docs/b.md": "-> /usr/share/doc"},
        {"docs/b.md": "-> " + UP * 2 + "elsewhere"},
    ],
    "variables": [
        {"docs/configuration.md": "| `HOLDFAST_RANK` | rank |\n"},
        {"docs/configuration.md": "| `HOLDFAST_LOG` | level |\n| `HOLDFAST_LOGS` | no |\n"},
        {"docs/configuration.md": "| `HOLDFAST_LOG` | level |\n| `HOLDFAST_LOG` | twice |\n"},
        {"base/src/environment.cpp": "int nothing;\n"},
    ],
    "one_environment": [
        {"core/src/b.cpp": 'const char* v = std::getenv("HOLDFAST_LOG");\n'},
        {"core/src/b.cpp": "const char* v = /* one */ getenv(kName);\n"},
        {"fabric/launch/b.cpp": "const char* v = secure_getenv(name);\n"},
        {"base/src/b.cpp": "for (char** at = ::environ; *at != nullptr; ++at) {}\n"},
        {"cli/run/main.cpp": 'const char* v = getenv("HOLDFAST_LOG");\n'},
    ],
    "lengths": [
        {"core/src/b.cpp": "int x;\n" * 501},
        {"examples/hello.cpp": "int x;\n" * 23},
    ],
    "formatting": [{"core/src/b.cpp": "int   x ;\n"}],
}


def plant(root, contents):
    for name, text in contents.items():
        path = pathlib.Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text)


def self_test():
    """Each check on clean files, and on each set of planted ones, in a folder and in a checkout."""
    failures = [f"{name}: has no planted violation" for name in checks.ALL if not PLANTED.get(name)]
    kinds = ["folder", "checkout"] if shutil.which("git") else ["folder"]
    for name, check in checks.ALL.items():
        for violation, kind in itertools.product([None, *PLANTED.get(name, [])], kinds):
            with tempfile.TemporaryDirectory() as root:
                plant(root, CLEAN)
                if kind == "checkout":
                    subprocess.run(["git", "init", "--quiet", root], check=True)
                    plant(root, NOT_TRACKED)
                plant(root, violation or {})
                try:
                    found = check(root)
                except checks.Skip as why:
                    print(f"{name}: not tested: {why}")
                    break
                if violation is None and found:
                    failures.append(f"{name}: complains about a clean {kind}: {found}")
                if violation is not None and not found:
                    failures.append(f"{name}: overlooks in a {kind}: {violation}")
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
