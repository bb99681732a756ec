#!/usr/bin/env python3
"""install_test.py this|shared CMAKE SOURCE BUILD COMPILER: installs into a private folder and uses what is there:
through find_package, through pkg-config, and by the commands."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

VARIANT, CMAKE, SOURCE, BUILD, COMPILER = sys.argv[1:]
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")} | {"HOLDFAST_ARENA": "64MiB"}


class Failure(Exception):
    pass


def run(*command, **variables):
    done = subprocess.run([str(word) for word in command], env=ENVIRONMENT | variables, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(str(word) for word in command)} returned {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(condition, what):
    if not condition:
        raise Failure(what)


def build_shared(directory):
    """Another build of the same sources; the options that change compiler flags are those of this one."""
    cache = pathlib.Path(BUILD, "CMakeCache.txt").read_text()
    same = [f"-D{line.replace(':STRING', '').replace(':BOOL', '')}" for line in cache.splitlines()
            if line.startswith(("CMAKE_BUILD_TYPE:", "HOLDFAST_WERROR:", "CMAKE_CXX_FLAGS:"))]
    build = directory / "build-shared"
    run(CMAKE, "-S", SOURCE, "-B", build, "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={COMPILER}", *same,
        "-DBUILD_SHARED_LIBS=ON", "-DHOLDFAST_TESTS=OFF", "-DHOLDFAST_BENCH=OFF", "-DHOLDFAST_MPI=OFF",
        "-DHOLDFAST_EXAMPLES=OFF")
    run(CMAKE, "--build", build, "--parallel", str(len(os.sched_getaffinity(0))))
    return build


def check_files(prefix):
    """Everything a user needs, and no private header."""
    for name in ("include/holdfast/holdfast.h", "include/holdfast/base/result.h", "include/holdfast/numa/arena.h",
                 "include/holdfast/fabric/fabric.h", "bin/holdfast", "bin/holdfast-run",
                 "share/doc/holdfast/docs/running.md"):
        expect((prefix / name).exists(), f"{name} was not installed")
    public = {path.relative_to(floor / "include").as_posix() for floor in pathlib.Path(SOURCE).iterdir()
              if (floor / "include").is_dir() for path in (floor / "include").rglob("*.h")
              if path.parent.name != "sim"}  # the simulator is for this project's own tests
    installed = {path.relative_to(prefix / "include").as_posix() for path in (prefix / "include").rglob("*.h")}
    expect(installed == public, f"headers differ: {sorted(installed ^ public)}")


def check_links(documents):
    """What a document links to lies where the link says, among the documents."""
    pages, links = 0, 0
    for page in sorted(documents.rglob("*.md")):
        pages += 1
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path = link.split("#")[0]
            if not path or re.match(r"[a-z]+:", path):
                continue
            links += 1
            target = (page.parent / path).resolve()
            expect(target.exists() and target.is_relative_to(documents.resolve()),
                   f"{page.relative_to(documents)} links to {link}, which was not installed")
    expect(pages > 5 and links > 20, f"only {pages} documents with {links} links were found")


def check_find_package(prefix, directory):
    build = directory / "consumer"
    run(CMAKE, "-S", prefix / "share/doc/holdfast/examples/consumer", "-B", build, "-G", "Ninja",
        f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_COMPILER={COMPILER}", "-DCMAKE_BUILD_TYPE=Release")
    run(CMAKE, "--build", build)
    expect("put and got" in run(build / "consumer"), "the consumer did not get what it put")


def can_link_static(directory, path):
    """Whether what other libraries want for static linking is installed here: it is not part of their packages."""
    source = directory / "empty.cpp"
    source.write_text("int main() {}\n")
    try:
        others = [name for name in run("pkg-config", "--print-requires", "holdfast", **path).split() if name[0].isalpha()]
        flags = shlex.split(run("pkg-config", "--static", "--libs", *others))
        run(COMPILER, "-o", directory / "empty", source, *flags)
    except Failure as why:
        print("pkg-config --static not tested, other libraries cannot be linked that way here:", why)
        return False
    return True


def check_pkg_config(prefix, directory):
    program = directory / "by-pkg-config"
    path = {"PKG_CONFIG_PATH": str(next(prefix.glob("lib*/**/pkgconfig")))}
    variants = [[]]
    if VARIANT == "this" and can_link_static(directory, path):
        variants.append(["--static"])
    for options in variants:
        flags = shlex.split(run("pkg-config", *options, "--cflags", "--libs", "holdfast", **path))
        run(COMPILER, "-std=c++20", "-o", program, prefix / "share/doc/holdfast/examples/consumer/main.cpp", *flags)
        library = {"LD_LIBRARY_PATH": str(next(prefix.glob("lib*/**/pkgconfig")).parent)}
        expect("put and got" in run(program, **library), "the program did not get what it put")


def check_commands(prefix):
    """From the prefix, without help from the environment."""
    said = run(prefix / "bin/holdfast-run", "-n", "2", prefix / "bin/holdfast", "--version")
    expect(said.count("holdfast ") == 2, f"two ranks should have said their version: {said}")


def main():
    if not shutil.which("pkg-config") or not shutil.which("ninja"):
        print("skipped: needs pkg-config and ninja")
        return 77
    with tempfile.TemporaryDirectory(prefix="holdfast-install-") as name:
        directory = pathlib.Path(name).resolve()
        build = BUILD if VARIANT == "this" else build_shared(directory)
        # Moved after installing: nothing may remember where it was installed to.
        run(CMAKE, "--install", build, "--prefix", directory / "first")
        prefix = (directory / "first").rename(directory / "moved")
        check_files(prefix)
        check_links(prefix / "share/doc/holdfast")
        check_find_package(prefix, directory)
        check_pkg_config(prefix, directory)
        check_commands(prefix)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(failure)
        sys.exit(1)
