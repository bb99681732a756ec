#!/usr/bin/env python3
"""hello_test.py HOLDFAST_RUN HELLO: each rank hears its left neighbour, and failing shows in the exit code."""

import os
import subprocess
import sys
import unittest

RUN, HELLO = sys.argv[1], sys.argv[2]


class Hello(unittest.TestCase):
    def job(self, ranks, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        return subprocess.run([RUN, "--no-prefix", "-n", str(ranks), HELLO],
                              env=environment | {"HOLDFAST_ARENA": "64MiB"} | variables, capture_output=True,
                              text=True, check=False)

    def test_each_rank_hears_its_left_neighbour(self):
        for ranks in (1, 3):
            with self.subTest(ranks=ranks):
                done = self.job(ranks)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertEqual(sorted(done.stdout.splitlines()),
                                 [f"rank {rank} heard: hello from rank {(rank - 1) % ranks}" for rank in range(ranks)])

    def test_fails_where_no_store_can_be_opened(self):
        done = self.job(2, HOLDFAST_ARENA="much")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("HOLDFAST_ARENA", done.stderr)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
