#!/usr/bin/env python3
"""The `holdfast` command as it is called: exit codes, help, bad input. Arguments: PROGRAM ROOT VERSION."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM, ROOT, VERSION = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]


def holdfast(*arguments, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")} | variables
    return subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=False)


class Command(unittest.TestCase):
    def test_says_its_version(self):
        done = holdfast("--version")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, rf"^holdfast {re.escape(VERSION)} \(protocol \d+\)\n$")

    def test_help_names_every_variable_and_command(self):
        done = holdfast("--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        manual = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
        variables = re.findall(r"^\| `(HOLDFAST_\w+)` \|", manual, re.MULTILINE)
        self.assertGreater(len(variables), 10)
        for word in [*variables, "topology", "doctor", "holdfast-run -n 4"]:
            self.assertIn(word, done.stdout)

    def test_wrong_usage_ends_with_2_and_says_what_is_wrong(self):
        for arguments in ((), ("dance",), ("topology", "--no-such-option"), ("doctor", "more"),
                          ("topology", "--synthetic", "numa:1", "--xml", "x")):
            with self.subTest(arguments=arguments):
                done = holdfast(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertTrue(done.stderr or done.stdout)


class Topology(unittest.TestCase):
    def test_shows_this_machine(self):
        tree, described = holdfast("topology"), holdfast("topology", "--json")
        self.assertEqual((tree.returncode, described.returncode), (0, 0), tree.stderr + described.stderr)
        machine = json.loads(described.stdout)
        self.assertTrue(machine["this_machine"])
        online = sum(len(node["processors"]) for node in machine["nodes"])
        self.assertGreaterEqual(online, len(os.sched_getaffinity(0)))
        for node in machine["nodes"]:
            self.assertIn(f"node {node['id']}: ", tree.stdout)
        for nic in machine["nics"]:
            self.assertIn(f"{nic['name']} ({nic['kind']})", tree.stdout)

    def test_refuses_descriptions_it_cannot_read(self):
        with tempfile.NamedTemporaryFile(suffix=".xml") as broken:
            broken.write(b"<topology><object></topology>")
            broken.flush()
            for arguments, word in ((("--synthetic", "numa:zero"), "invalid"), (("--xml", "/no/such.xml"), "not_found"),
                                    (("--xml", broken.name), "invalid")):
                with self.subTest(arguments=arguments):
                    done = holdfast("topology", *arguments)
                    self.assertEqual(done.returncode, 1)
                    self.assertIn(word, done.stderr)
                    self.assertEqual(done.stdout, "")


class Doctor(unittest.TestCase):
    def test_exit_code_follows_the_gravest_finding(self):
        done = holdfast("doctor", "--json")
        report = json.loads(done.stdout)
        order = ["ok", "warning", "problem"]
        gravest = max((check["health"] for check in report["checks"]), key=order.index)
        self.assertEqual(report["health"], gravest)
        self.assertEqual(done.returncode, 1 if gravest == "problem" else 0, done.stderr)

    def test_a_misspelt_variable_is_a_problem_with_its_fix(self):
        done = holdfast("doctor", HOLDFAST_ARENNA="1GiB")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"(?m)^problem +environment: .*HOLDFAST_ARENNA.*HOLDFAST_ARENA")
        self.assertIn("fix: ", done.stdout)

    def test_an_arena_beyond_the_machine_is_a_problem(self):
        done = holdfast("doctor", HOLDFAST_ARENA="1000TiB")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"(?m)^problem +memory: ")

    def test_a_provider_that_does_not_exist_is_a_problem(self):
        done = holdfast("doctor", HOLDFAST_PROVIDER="carrier-pigeon")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"(?m)^problem +provider: ")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
