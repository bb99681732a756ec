"""What must hold of the sources as a whole. Each check takes the root of a repository and returns a list of
complaints, "file:line: what is wrong and what to do"."""

import os
import pathlib
import re
import shutil
import subprocess

# Bottom up: a folder may include what stands before it. The last ones may include everything.
FLOORS = ["base", "numa", "fabric", "core", "cli"]
TOP = ["python", "bench", "tests", "examples"]

# A library's headers, and the folders that may name them.
OWNED_HEADERS = [
    (re.compile(r"rdma/"), ["fabric/ofi/", "bench/", "tests/fabric/ofi/"], "libfabric"),
    (re.compile(r"hwloc(\.h|/)"), ["numa/", "tests/numa/"], "hwloc"),
    (re.compile(r"pmix(\.h|_\w+\.h|/)"), ["fabric/launch/", "tests/fabric/launch/"], "PMIx"),
    (re.compile(r"mpi\.h"), ["bench/", "examples/", "tests/"], "MPI"),
]

LONGEST_FILE = 500
# Files that may be longer, each with its reason.
LONG_FILES = {}

CODE = {".cpp", ".h", ".c", ".hpp"}
TEXT = CODE | {".py", ".sh", ".md", ".txt", ".cmake", ".json", ".yml", ".yaml", ".toml", ".in", ".html", ".css"}
NOT_OURS = {".git", "build", ".cache", ".venv", "__pycache__", "node_modules"}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')
VARIABLE = re.compile(r'VariableInfo\{\s*Variable::\w+,\s*"(HOLDFAST_\w+)"')
TABLE_ROW = re.compile(r"^\|\s*`(HOLDFAST_\w+)`\s*\|", re.MULTILINE)


def files(root, suffixes):
    root = pathlib.Path(root)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in NOT_OURS and not f.startswith("build-"))
        for name in sorted(names):
            path = pathlib.Path(folder) / name
            if (path.suffix in suffixes or name == "CMakeLists.txt") and not path.is_symlink():
                yield path, path.relative_to(root).as_posix()


def lines(path):
    return enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)


def floor_of_include(include):
    """The floor that a header belongs to; None for those of the system and other libraries."""
    parts = include.split("/")
    if parts[0] == "holdfast":
        return parts[1] if len(parts) > 2 and parts[1] in FLOORS else "core"
    return parts[0] if len(parts) > 1 and parts[0] in FLOORS else None


def floors(root):
    """Includes only go down."""
    found = []
    for path, name in files(root, CODE):
        floor = name.split("/")[0]
        if floor not in FLOORS:
            continue
        for number, line in lines(path):
            match = INCLUDE.match(line)
            target = floor_of_include(match[1]) if match else None
            if target and FLOORS.index(target) > FLOORS.index(floor):
                found.append(f"{name}:{number}: {floor}/ includes {match[1]} of {target}/, which stands above it")
            if match and match[1].split("/")[0] in TOP and "/" in match[1]:
                found.append(f"{name}:{number}: {floor}/ includes {match[1]}, which is no floor")
    return found


def owned_headers(root):
    """Each library is named in one place only."""
    found = []
    for path, name in files(root, CODE):
        for number, line in lines(path):
            match = INCLUDE.match(line)
            for pattern, owners, library in OWNED_HEADERS if match else []:
                if pattern.match(match[1]) and not any(name.startswith(owner) for owner in owners):
                    found.append(f"{name}:{number}: {match[1]}: {library} is named only in {', '.join(owners)}")
    return found


def stays_inside(root):
    """No file refers outside the repository."""
    absolute = re.compile(r"(?<![\w/.])/" + r"(work|shared|home)/[\w.]")
    upwards = re.compile(r"(?<![\w.])(?:[\w.-]+/)*(?:\.\./)+[\w./-]*")
    found = []
    for path, name in files(root, TEXT):
        for number, line in lines(path):
            for match in absolute.finditer(line):
                found.append(f"{name}:{number}: {match[0]}...: a path of one machine")
            for match in upwards.finditer(line):
                target = os.path.normpath(os.path.join(os.path.dirname(name), match[0]))
                if target.startswith(".."):
                    found.append(f"{name}:{number}: {match[0]} leaves the repository")
    return found


def variables(root):
    """Every variable is in the manual, and the manual names no other."""
    root = pathlib.Path(root)
    source, manual = root / "base/src/environment.cpp", root / "docs/configuration.md"
    if not source.exists() or not manual.exists():
        return [f"{p.relative_to(root)}: missing" for p in (source, manual) if not p.exists()]
    known = set(VARIABLE.findall(source.read_text()))
    told = TABLE_ROW.findall(manual.read_text())
    found = [] if known else ["base/src/environment.cpp: no variable found; has the table changed its form?"]
    found += [f"docs/configuration.md: no row for {name}" for name in sorted(known - set(told))]
    found += [f"docs/configuration.md: {name} is not a variable" for name in sorted(set(told) - known)]
    found += [f"docs/configuration.md: {name} has two rows" for name in sorted({n for n in told if told.count(n) > 1})]
    return found


def one_environment(root):
    """The environment's own variables are read through Environment only."""
    reads = re.compile(r'getenv\s*\(\s*"HOLDFAST_')
    return [f"{name}:{number}: read it through holdfast::Environment"
            for path, name in files(root, CODE) if name.split("/")[0] in FLOORS[1:]
            for number, line in lines(path) if reads.search(line)]


def lengths(root):
    """No file is too long to be read at a sitting."""
    found = []
    for path, name in files(root, CODE | {".py", ".sh"}):
        count = sum(1 for _ in lines(path))
        if count > LONGEST_FILE and name not in LONG_FILES:
            found.append(f"{name}: {count} lines; split it (at most {LONGEST_FILE}), or give the reason in LONG_FILES")
    return found


class Skip(Exception):
    """A check that cannot run here."""


def formatting(root):
    """clang-format would change nothing."""
    program = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not program:
        raise Skip("clang-format is not installed (Debian: clang-format)")
    paths = [str(path) for path, name in files(root, {".cpp", ".h"}) if not name.endswith("CMakeLists.txt")]
    if not paths:
        return []
    done = subprocess.run([program, "--dry-run", "--style=file", *paths], capture_output=True, text=True, check=False)
    root = str(pathlib.Path(root)) + "/"
    complaints = re.findall(r"^(.*?:\d+):\d+: warning: code should be clang-formatted", done.stderr, re.MULTILINE)
    if not complaints and (done.returncode != 0 or done.stderr):
        return [f"{program}: {done.stderr.strip()[:500]}"]
    return [f"{place.removeprefix(root)}: run clang-format -i" for place in dict.fromkeys(complaints)]


ALL = {check.__name__: check
       for check in (floors, owned_headers, stays_inside, variables, one_environment, lengths, formatting)}
