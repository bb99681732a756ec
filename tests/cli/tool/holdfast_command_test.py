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

    def test_asks_a_launcher_that_is_not_the_one_of_the_job(self):
        done = holdfast("doctor", "--json", HOLDFAST_ARENA="64MiB", HOLDFAST_LAUNCHER="pmix", PMI_FD="77")
        launcher = {check["check"]: check for check in json.loads(done.stdout)["checks"]}["launcher"]
        self.assertEqual(launcher["health"], "problem", "a store would not open with this")
        self.assertIn("PMIx_Init", launcher["found"])


class Simulate(unittest.TestCase):
    SMALL = ("simulate", "--workload", "shuffle", "--topology", "hosts=4,per-host=2,racks=2", "--objects", "3",
             "--object-size", "8KiB")

    def test_says_the_same_twice(self):
        for arguments in (self.SMALL, (*self.SMALL, "--json", "-"), ("simulate", "--workload", "outofcore", "--members",
                          "3", "--objects", "80", "--object-size", "64KiB", "--arena", "3MiB", "--gets", "30")):
            with self.subTest(arguments=arguments):
                one, other = holdfast(*arguments), holdfast(*arguments)
                self.assertEqual(one.returncode, 0, one.stderr)
                self.assertEqual(one.stdout, other.stdout)

    def test_tells_what_arithmetic_says(self):
        forecast = json.loads(holdfast(*self.SMALL, "--json", "-").stdout)
        objects = 8 * 7 * 3
        self.assertEqual((forecast["puts"], forecast["gets"]), (objects, objects))
        paths = {name: path["payload_bytes"] for name, path in forecast["paths"].items()}
        self.assertEqual(paths["host_memory"], 8 * 1 * 3 * 8192)
        self.assertEqual(paths["same_rack"], 8 * 2 * 3 * 8192)
        self.assertEqual(paths["across_racks"], 8 * 4 * 3 * 8192)
        self.assertEqual(paths["host_links"], 8 * 6 * 3 * 8192)
        self.assertEqual(forecast["time_ns"], forecast["put_ns"] + forecast["get_ns"])

    def test_says_which_hosts_and_racks_are_used(self):
        broadcast = ("simulate", "--workload", "broadcast", "--objects", "2", "--object-size", "8KiB")
        for topology, members, used, text in (
                ("hosts=5,racks=4", 5, (5, 4), "5 on 5 hosts, 1 on each, in 4 racks,"),
                ("hosts=7,per-host=2,racks=3", 13, (7, 3), "13 on 7 hosts, up to 2 on each, in 3 racks,"),
                ("hosts=8,per-host=2,racks=4", 6, (3, 2), "6 on 3 of 8 hosts, 2 on each, in 2 of 4 racks,")):
            with self.subTest(topology=topology):
                arguments = (*broadcast, "--topology", topology, "--members", str(members))
                self.assertIn(text, holdfast(*arguments).stdout)
                forecast = json.loads(holdfast(*arguments, "--json", "-").stdout)
                self.assertEqual((len(forecast["host_links"]), len(forecast["uplinks"])), used)
                told = forecast["topology"]
                self.assertEqual((told["hosts_used"], told["racks_used"]), used)

    def test_writes_the_json_beside_the_table(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "forecast.json"
            done = holdfast(*self.SMALL, "--json", str(path))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("expected time", done.stdout)
            self.assertIn("default", done.stdout)
            self.assertEqual(json.loads(path.read_text(encoding="utf-8"))["workload"]["pattern"], "shuffle")
            done = holdfast(*self.SMALL, "--json", str(path / "no"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("cannot write", done.stderr)

    def test_takes_costs_from_what_bench_wrote(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as costs:
            json.dump({"format": 1, "machine": {"rdma": False}, "results": [
                {"what": "put/1048576/checksum", "unit": "B/s", "measured": 1e6}]}, costs)
            costs.flush()
            forecast = json.loads(holdfast(*self.SMALL, "--costs", costs.name, "--json", "-").stdout)
            self.assertEqual(forecast["topology"]["fabric"], "tcp")
            self.assertIn("put/1048576/checksum", {cost["from"] for cost in forecast["costs"]})
            self.assertGreater(forecast["put_ns"], 1e9, "puts of a second each")

    def test_refuses_what_cannot_be_simulated(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as broken:
            broken.write("no JSON")
            broken.flush()
            for arguments, word, code in (
                    (("--workload", "shuffle", "--members", "0"), "0 members", 2),
                    (("--workload", "random", "--members", "1000000"), "16384", 2),
                    (("--workload", "random"), "--members", 2),
                    (("--workload", "dance", "--members", "4"), "dance", 2),
                    (("--workload", "shuffle", "--members", "9", "--topology", "4x2"), "9 members do not fit", 2),
                    (("--workload", "shuffle", "--members", "4", "--topology", "square"), "square", 2),
                    (("--workload", "shuffle", "--topology", "4x2", "--core-latency-us", "2"), "between racks", 2),
                    (("--workload", "shuffle", "--members", "4", "--objects", "0"), "0 objects", 2),
                    (("--workload", "shuffle", "--members", "4", "--object-size", "big"), "big", 2),
                    (("--workload", "shuffle", "--members", "4", "--object-size", "1TiB"), "bytes", 2),
                    (("--workload", "shuffle", "--members", "64", "--object-size", "32GiB"), "of memory", 1),
                    (("--workload", "outofcore", "--members", "4", "--arena", "1GiB"), "fit into an arena", 2),
                    (("--workload", "shuffle", "--members", "4", "--costs", "/no/such.json"), "/no/such.json", 1),
                    (("--workload", "shuffle", "--members", "4", "--costs", broken.name), "holdfast bench --json", 2),
                    (("--members", "4"), "--workload", 2)):
                with self.subTest(arguments=arguments):
                    done = holdfast("simulate", *arguments)
                    self.assertEqual(done.returncode, code, done.stderr)
                    self.assertIn(word, done.stderr)
                    self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
