#!/usr/bin/env python3
"""beside_mpi_test.py MPIRUN BESIDE_MPI: MPI and Holdfast agree on ranks and sums, and failing shows in the exit code."""

import os
import re
import subprocess
import sys
import unittest

MPIRUN, BESIDE_MPI = sys.argv[1], sys.argv[2]
RANKS = 3
# LeakSanitizer reports what Open MPI never frees.
OWN = {"HOLDFAST_ARENA": "64MiB", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
       "ASAN_OPTIONS": "detect_leaks=0"}


class BesideMpi(unittest.TestCase):
    def job(self, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        return subprocess.run([MPIRUN, "--oversubscribe", "-n", str(RANKS), BESIDE_MPI],
                              env=environment | OWN | variables, capture_output=True, text=True, check=False)

    def test_both_agree_on_ranks_and_sums(self):
        done = self.job()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = re.findall(r"MPI rank (\d+) is Holdfast rank (\d+) of (\d+); sums through MPI (\d+), through Holdfast (\d+): "
                           r"the same", done.stdout)
        self.assertEqual(sorted(line[:3] for line in lines),
                         [(str(rank), str(rank), str(RANKS)) for rank in range(RANKS)], done.stdout)
        self.assertEqual(len({total for line in lines for total in line[3:]}), 1, done.stdout)
        self.assertNotIn("differ", done.stdout)

    def test_fails_where_no_store_can_be_opened(self):
        done = self.job(HOLDFAST_ARENA="much")
        self.assertNotEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("HOLDFAST_ARENA", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
