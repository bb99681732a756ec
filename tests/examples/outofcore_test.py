#!/usr/bin/env python3
"""outofcore_test.py HOLDFAST_RUN OUTOFCORE: the example sorts more than the arenas hold, and leaves nothing behind."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

RUN, OUTOFCORE = sys.argv[1], sys.argv[2]
UNITS = {b"B": 1, b"KiB": 2**10, b"MiB": 2**20, b"GiB": 2**30}


def bytes_in(row, text):
    number, unit = re.search(rb"(?m)^%s +([\d.]+) (\w+)$" % row, text).groups()
    return float(number) * UNITS[unit]


class OutOfCore(unittest.TestCase):
    def job(self, ranks, *arguments, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        return subprocess.run([RUN, "--no-prefix", "-n", str(ranks), OUTOFCORE, *map(str, arguments)],
                              env=environment | {"HOLDFAST_LOG": "error"} | variables, capture_output=True, check=False)

    def test_sorts_three_times_the_arenas_and_leaves_no_files(self):
        for mode in ("memory", "fabric"):
            with self.subTest(mode=mode), tempfile.TemporaryDirectory(prefix="outofcore-test-") as directory:
                done = self.job(4, HOLDFAST_ARENA="16MiB", HOLDFAST_SPILL=directory, HOLDFAST_SAME_HOST=mode)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertRegex(done.stdout, rb"(?m)^verified     yes$")
                self.assertRegex(done.stdout, rb"(?m)^records +25165824 of 8 bytes: 192 MiB, 3 x the arenas$")
                # The input, its pieces and what is sorted are each as large as three arenas, of which one holds a part.
                self.assertGreater(bytes_in(b"spilled", done.stdout), 3 * 64 * 2**20)
                self.assertGreater(bytes_in(b"restored", done.stdout), 3 * 64 * 2**20)
                self.assertRegex(done.stderr, rb"(?m)^sorting: 100 %$")
                self.assertEqual(os.listdir(directory), [])

    def test_says_what_is_missing(self):
        done = self.job(2, HOLDFAST_ARENA="16MiB")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"HOLDFAST_SPILL", done.stderr)
        self.assertEqual(self.job(1, "--times", "0").returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
