#!/usr/bin/env python3
"""launchers.py CASE PROBE_DIRECTORY HOLDFAST_RUN: starts launch_probe under a real launcher and looks at what its
ranks say. Exits 77 where the launcher is not installed."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import slurm

LIMIT_S = 90  # far above what any case takes
SAID = re.compile(r"rank (\d+) of (\d+) by (\w+) in job (\S+)")


class Skip(Exception):
    pass


def need(*programs):
    for program in programs:
        if path := shutil.which(program):
            return path
    raise Skip(f"none of {', '.join(programs)} is installed")


def run(command, environment=None, directory=None):
    base = environment or os.environ
    clean = {k: v for k, v in base.items() if not k.startswith(("HOLDFAST_", "PMI_", "PMIX_", "OMPI_"))}
    clean.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run(command, env=clean, cwd=directory, capture_output=True, text=True, timeout=LIMIT_S,
                          stdin=subprocess.DEVNULL)
    print("$", " ".join(command), f"-> {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def all_said(done, size, launcher):
    """Every rank spoke once, all of the same job."""
    expect(done.returncode == 0, f"exit code {done.returncode}")
    said = SAID.findall(done.stdout)
    expect(sorted(int(rank) for rank, _, _, _ in said) == list(range(size)), f"ranks that spoke: {said}")
    expect({(s, l) for _, s, l, _ in said} == {(str(size), launcher)}, f"sizes and launchers: {said}")
    expect(len({job for _, _, _, job in said}) == 1, f"jobs: {said}")


def absent_named(done, named):
    """The others ended with an error, which names the absent rank where the launcher can know it."""
    expect(done.returncode != 0, "no error although a rank stayed away")
    text = done.stdout + done.stderr
    expect("Launch::exchange: timed_out" in text, "no timed_out error")
    if named:
        expect(re.search(r"timed_out: rank 1 of job \S+ did not come", text), "rank 1 is not named")


def openmpi(*words):
    return [need("mpirun.openmpi", "mpirun"), "--oversubscribe", *words]


def cases(probe_directory, holdfast_run):
    probe = os.path.join(probe_directory, "launch_probe")
    absent = ["--timeout", "2", "--absent", "1", "--linger", "20"]
    many = ["--rounds", "3", "--card", "20000"]

    def beside(mpi):
        path = f"{probe}_{mpi}"
        if not os.path.exists(path):
            raise Skip(f"built without {mpi}")
        return path

    def alone():
        all_said(run([probe]), 1, "alone")

    def with_run():
        with tempfile.TemporaryDirectory() as directory:
            all_said(run([holdfast_run, "-n", "4", "--rendezvous", directory, probe, *many]), 4, "rendezvous")
            expect(os.listdir(directory) == [], "the rendezvous directory was left behind")

    def mpirun():
        all_said(run(openmpi("-n", "4", probe, *many)), 4, "pmix")

    def hydra():
        all_said(run([need("mpiexec.hydra"), "-n", "4", probe, *many]), 4, "pmi1")

    def run_absent():
        absent_named(run([holdfast_run, "-n", "3", "--keep-going", probe, *absent[:-1], "3"]), True)

    def mpirun_absent():
        absent_named(run(openmpi("-n", "3", probe, *absent)), True)

    def hydra_absent():
        absent_named(run([need("mpiexec.hydra"), "-n", "3", probe, *absent]), False)

    def beside_mpi(launcher, program, size, by, order):
        done = run([*launcher, "-n", str(size), program, "--mpi", order, "--rounds", "2"])
        all_said(done, size, by)
        expect(done.stdout.count(f"MPI works among {size}") >= size, "MPI does not work")

    def mpirun_beside_mpi():
        for order in ("first", "last"):
            beside_mpi(openmpi(), beside("openmpi"), 3, "pmix", order)

    def hydra_beside_mpi():
        for order in ("first", "last"):
            beside_mpi([need("mpiexec.hydra")], beside("mpich"), 3, "pmi1", order)

    def in_slurm(plugin, work):
        with slurm.Slurm() as cluster:
            listed = run(["srun", "--mpi=list"], cluster.environment)
            if plugin not in (listed.stdout + listed.stderr).split():
                raise Skip(f"this Slurm has no {plugin} plugin")
            work(lambda *words: run(["srun", f"--mpi={plugin}", "-t", "2", *words], cluster.environment))

    def slurm_pmix():
        in_slurm("pmix", lambda srun: all_said(srun("-n", "4", probe, *many), 4, "pmix"))

    def slurm_pmi2():
        in_slurm("pmi2", lambda srun: all_said(srun("-n", "4", probe, *many), 4, "pmi1"))

    def slurm_absent():
        in_slurm("pmix", lambda srun: absent_named(srun("-n", "3", probe, *absent[:-1], "5"), True))

    def slurm_beside_mpi():
        program = beside("mpich")

        def work(srun):
            done = srun("-n", "2", program, "--mpi", "first", "--rounds", "2")
            all_said(done, 2, "pmi1")
            expect(done.stdout.count("MPI works among 2") >= 2, "MPI does not work")

        in_slurm("pmi2", work)

    return {
        "alone": alone, "run": with_run, "mpirun": mpirun, "hydra": hydra,
        "run-absent": run_absent, "mpirun-absent": mpirun_absent, "hydra-absent": hydra_absent,
        "mpirun-beside-mpi": mpirun_beside_mpi, "hydra-beside-mpi": hydra_beside_mpi,
        "slurm-pmix": slurm_pmix, "slurm-pmi2": slurm_pmi2, "slurm-absent": slurm_absent,
        "slurm-beside-mpi": slurm_beside_mpi,
    }


def main():
    case, probe_directory, holdfast_run = sys.argv[1:]
    try:
        cases(probe_directory, holdfast_run)[case]()
    except (Skip, slurm.Unavailable) as why:
        print("skipped:", why)
        return 77
    except AssertionError as why:
        print("FAILED:", why)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
