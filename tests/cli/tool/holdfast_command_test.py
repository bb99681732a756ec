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

    def test_an_unknown_command_is_named(self):
        self.assertIn("no command dance", holdfast("dance").stderr)

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

    def test_whatever_a_store_would_not_open_with_is_a_problem(self):
        for variable, value, check in (
                ("NODES", "9999", "store"), ("ARENA", "0", "store"), ("ARENA", "100KiB", "store"),
                ("CATALOGUE", "99999999999", "store"), ("CATALOGUE", "100000000", "store"),
                ("INTERFACE", "nowhere0", "store"), ("LOG", "loud", "log level"), ("RANK", "zz", "launcher"),
                ("LAUNCHER", "zz", "launcher"), ("LAUNCHER", "pmi1", "launcher"),
                ("RENDEZVOUS", "/no/such/folder", "launcher")):
            with self.subTest(variable=variable, value=value):
                done = holdfast("doctor", "--json", **{f"HOLDFAST_{variable}": value})
                self.assertEqual(done.returncode, 1, done.stdout)
                problems = {c["check"]: c for c in json.loads(done.stdout)["checks"] if c["health"] == "problem"}
                self.assertIn(check, problems)
                self.assertTrue(problems[check]["fix"])

    def test_opens_a_store_with_what_is_configured_and_alone(self):
        with tempfile.TemporaryDirectory() as directory:
            done = holdfast("doctor", "--json", HOLDFAST_ARENA="64MiB", HOLDFAST_RENDEZVOUS=directory,
                            HOLDFAST_RANK="1", HOLDFAST_SIZE="2", HOLDFAST_JOB="meeting", HOLDFAST_LOG="info")
            found = {check["check"]: check["found"] for check in json.loads(done.stdout)["checks"]}
            self.assertEqual(found["launcher"], "rendezvous: rank 1 of 2")
            self.assertEqual(found["store"], "opens")
            self.assertRegex(done.stderr, "joined job alone-.* as rank 0 of 1")
            self.assertEqual(os.listdir(directory), [], "the job must not meet the doctor")

    def test_leaves_the_launcher_of_a_job_alone(self):
        for variables in ({"PMI_FD": "77", "PMI_RANK": "0", "PMI_SIZE": "2"},
                          {"PMIX_NAMESPACE": "nobody", "PMIX_RANK": "0", "HOLDFAST_LAUNCHER": "pmix"}):
            with self.subTest(variables=variables):
                done = holdfast("doctor", "--json", HOLDFAST_ARENA="64MiB", **variables)
                found = {check["check"]: check["found"] for check in json.loads(done.stdout)["checks"]}
                self.assertRegex(found["launcher"], "^not asked: ")
                self.assertEqual(found["store"], "opens")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
