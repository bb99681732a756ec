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
    (re.compile(r"liburing(\.h|/)"), ["core/src/disk_queue", "bench/"], "liburing"),
    (re.compile(r"mpi\.h"), ["bench/", "examples/", "tests/"], "MPI"),
]

LONGEST_FILE = 500
# Files that may be longer, each with its reason.
LONG_FILES = {}
# Files that have to be shorter.
SHORT_FILES = {"examples/hello.cpp": 20}  # the first thing that is read

# Files of the floors that touch the environment, and what for.
ENVIRONMENT_READERS = {
    "base/src/environment.cpp": "all variables of HOLDFAST_, for everybody",
    "fabric/launch/common.cpp": "what PMIx and PMI-1 tell a rank",
    "cli/run/main.cpp": "TMPDIR",
    "cli/run/command.cpp": "hands it on to ranks on other hosts",
    "cli/run/process.cpp": "hands it on to ranks here",
    "cli/bench/programs.cpp": "hands it on to the programs",
}

CODE = {".cpp", ".h", ".c", ".hpp"}
NOT_OURS = {".git", "build", ".cache", ".venv", "__pycache__", "node_modules"}

INCLUDE = re.compile(r'^\s*(?:#|%:)\s*(?:include|include_next|import)\b\s*(?:<([^>\n]+)>|"([^"\n]+)")?', re.MULTILINE)
COMMENT = re.compile(r"""R"([^()\\\s]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|//[^\n]*|/\*.*?\*/""", re.DOTALL)

# Folders of every Linux machine: any file may name what lies there.
SYSTEM = ["bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr", "var"]
# Folders that manuals and tests name because there is no such thing, or as the reader's own.
EXAMPLES = ["no", "nowhere", "scratch", "where"]
# Folders of one machine or one user: refused wherever they stand.
FOREIGN = ["work", "shared", "home", "root", "opt", "mnt", "media", "srv", "Users"]
# Files, or folders of them, that may name other places: what these places begin with, and the reason.
ELSEWHERE = {
    "ci/testbed/": ["/ro" + "ot", "/changes/", "/new/"],  # inside the virtual machine
    "tests/testbed/": ["/hugepages/"],  # below /sys
}

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


def repository_files(root):
    """Every file of the repository: what git knows or would add; all that is there where this is no checkout."""
    root = pathlib.Path(root)
    listed = None
    if (root / ".git").exists() and shutil.which("git"):
        done = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                              capture_output=True, text=True, check=False)
        listed = sorted(set(done.stdout.split("\0")) - {""}) if done.returncode == 0 else None
    if listed is None:
        listed = []
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(f for f in folders if f not in NOT_OURS and not f.startswith("build-"))
            names += [f for f in folders if os.path.islink(os.path.join(folder, f))]
            listed += [(pathlib.Path(folder) / name).relative_to(root).as_posix() for name in sorted(names)]
    for name in listed:
        path = root / name
        if path.is_symlink() or path.is_file():
            yield path, name


def is_text(path):
    with path.open("rb") as file:
        return b"\0" not in file.read(8192)


def without_comments(path):
    """A C++ file, with what its comments take of lines left empty."""
    return COMMENT.sub(lambda match: "\n" * match[0].count("\n") if match[0].startswith("/") else match[0],
                       path.read_text(encoding="utf-8", errors="replace"))


def includes(path):
    """Each include of a C++ file: its line, what it names (None where that is a macro), whether it stands in quotes."""
    def blank(match):
        # Comments and raw strings go; lines are still counted, "\v" standing for one that ends no directive.
        if match[0].startswith("/"):
            return " " + "".join(c for c in match[0] if c in "\n\v")
        return '""' + "\v" * match[0].count("\n") if match[0].startswith("R") else match[0]

    text = COMMENT.sub(blank, path.read_text(encoding="utf-8", errors="replace").replace("\\\n", "\v"))
    for match in INCLUDE.finditer(text):
        before = text[:match.start() + len(match[0]) - len(match[0].lstrip())]
        yield before.count("\n") + before.count("\v") + 1, match[1] or match[2], match[2] is not None


def private_of(root, name, include, quoted):
    """The other floor whose private file this include names, whatever include path would find it; else None."""
    root, own = pathlib.Path(root), name.split("/")[0]
    first = include.split("/")[0]
    if first in FLOORS and "/" in include:
        return first if first != own else None
    beside = ((root / name).parent, root / own, root / own / "include")
    if quoted and any((folder / include).is_file() for folder in beside):
        return None
    for floor in FLOORS:
        if floor != own and (root / floor).is_dir():
            if (root / floor / include).is_file() or quoted and any((root / floor).rglob(include)):
                return floor
    return None


def floors(root):
    """Includes only go down, and to public headers."""
    found = []
    for path, name in files(root, CODE):
        floor = name.split("/")[0]
        for number, include, quoted in includes(path):
            if include is None:
                found.append(f"{name}:{number}: includes a macro; name the header")
            elif ".." in include.split("/") or include.startswith("/"):
                found.append(f"{name}:{number}: includes {include}; name it from an include path, without ..")
            elif floor in FLOORS:
                parts = include.split("/")
                if parts[0] == "holdfast":
                    target = parts[1] if len(parts) > 2 and parts[1] in FLOORS else "core"
                    if FLOORS.index(target) > FLOORS.index(floor):
                        found.append(f"{name}:{number}: {floor}/ includes {include} of {target}/, which stands above it")
                elif parts[0] in TOP and len(parts) > 1:
                    found.append(f"{name}:{number}: {floor}/ includes {include}, which is no floor")
                elif private := private_of(root, name, include, quoted):
                    found.append(f"{name}:{number}: {floor}/ includes {include}, which is private to {private}/")
    return found


def owned_headers(root):
    """Each library is named in one place only."""
    found = []
    for path, name in files(root, CODE):
        for number, include, _ in includes(path):
            for pattern, owners, library in OWNED_HEADERS if include else []:
                if pattern.match(include) and not any(name.startswith(owner) for owner in owners):
                    found.append(f"{name}:{number}: {include}: {library} is named only in {', '.join(owners)}")
    return found


def stays_inside(root):
    """No file refers outside the repository."""
    start = r"(?:(?<![\w./}~$-])|(?<=file://)|(?<=-[IL]))/"
    foreign = re.compile(start + "(?:" + "|".join(FOREIGN) + r")(?![\w.-])[\w./-]*")
    other = re.compile(r"(?<![\w./}~$:<>)*+%@-])/(?!(?:" + "|".join(SYSTEM + EXAMPLES + FOREIGN) + r")/)[A-Za-z][\w.-]*/[\w.-]+")
    upwards = re.compile(r"(?<![\w.])(?:[\w.-]+/)*\.\.(?![\w.])[\w./-]*")

    def leaves(name, target):
        return os.path.normpath(os.path.join(os.path.dirname(name), target)).startswith("..")

    found = []
    for path, name in repository_files(root):
        if path.is_symlink():
            target = os.readlink(path)
            if os.path.isabs(target) or leaves(name, target):
                found.append(f"{name}: is a link to {target}, outside the repository")
            continue
        allowed = tuple(place for folder, places in ELSEWHERE.items() if name.startswith(folder) for place in places)
        for number, line in lines(path) if is_text(path) else []:
            found += [f"{name}:{number}: {match[0]}: a path of one machine"
                      for match in foreign.finditer(line) if not match[0].startswith(allowed)]
            found += [f"{name}:{number}: {match[0]}: not there on every machine; if it is, or is an example, say so in "
                      "SYSTEM, EXAMPLES or ELSEWHERE"
                      for match in other.finditer(line) if not match[0].startswith(allowed)]
            found += [f"{name}:{number}: {match[0]} leaves the repository"
                      for match in upwards.finditer(line) if leaves(name, match[0])]
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
    """HOLDFAST_ variables are read through Environment only, and others in named files only."""
    reads = re.compile(r"\b(?:secure_)?getenv\b|(?<![/\w])environ\b")
    own = re.compile(r'getenv\s*\(\s*"HOLDFAST_')
    found = []
    for path, name in files(root, CODE):
        if name.split("/")[0] not in FLOORS:
            continue
        for number, line in enumerate(without_comments(path).splitlines(), start=1):
            if own.search(line):
                found.append(f"{name}:{number}: read it through holdfast::Environment")
            elif reads.search(line) and name not in ENVIRONMENT_READERS:
                found.append(f"{name}:{number}: reads the environment; if it must, say why in ENVIRONMENT_READERS")
    return found


def lengths(root):
    """No file is too long to be read at a sitting."""
    found = []
    for path, name in files(root, CODE | {".py", ".sh"}):
        count = sum(1 for _ in lines(path))
        if count > SHORT_FILES.get(name, count):
            found.append(f"{name}: {count} lines; this one has at most {SHORT_FILES[name]}")
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
