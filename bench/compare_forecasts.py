#!/usr/bin/env python3
"""Plays workloads with the real store on this machine, and simulates the same: a table of measured and predicted times.

    bench/compare_forecasts.py COSTS.json [--build build/release] [--members 2,4,8] [--repetitions 3] [--spill DIR]

All members run on this host and read each other through the fabric (HOLDFAST_SAME_HOST=fabric): over TCP where there is
no RDMA device. COSTS.json: from `holdfast bench --json`, on this machine. Measured are medians.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

CASES = [  # name, options of both
    ("shuffle, 4 KiB", ["--workload", "shuffle", "--object-size", "4KiB", "--objects", "400"]),
    ("shuffle, 1 MiB", ["--workload", "shuffle", "--object-size", "1MiB", "--objects", "32"]),
    ("broadcast, 4 KiB", ["--workload", "broadcast", "--object-size", "4KiB", "--objects", "2000"]),
    ("broadcast, 1 MiB", ["--workload", "broadcast", "--object-size", "1MiB", "--objects", "64"]),
    ("random, 64 KiB, Zipf 0.99", ["--workload", "random", "--object-size", "64KiB", "--objects", "100", "--gets", "2000",
                                   "--skew", "0.99"]),
    ("outofcore, 1 MiB", ["--workload", "outofcore", "--object-size", "1MiB", "--objects", "128", "--gets", "200",
                          "--skew", "0", "--arena", "96MiB"]),
]


def measure(build, members, options, spill):
    variables = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    variables |= {"HOLDFAST_SAME_HOST": "fabric", "HOLDFAST_LOG": "error"}
    if "outofcore" in options:
        variables["HOLDFAST_SPILL"] = spill
    done = subprocess.run([build / "cli/holdfast-run", "--no-prefix", "--no-pin", "-n", str(members),
                           build / "bench/play_workload", "--members", str(members), *options],
                          env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(options)} with {members} members failed:\n{done.stderr}")
    ranks = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {"put_ns": max(r["put_ns"] for r in ranks), "get_ns": max(r["get_ns"] for r in ranks),
            "from_disk": sum(r["gets_from_disk"] for r in ranks), "gc": sum(r["reference_messages"] for r in ranks)}


def predict(build, members, options, costs, cores):
    done = subprocess.run([build / "cli/holdfast", "simulate", "--json", "-", "--costs", costs, "--same-host", "fabric",
                           "--topology", f"hosts=1,per-host={members},cores={cores}", *options],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"simulating {' '.join(options)} failed:\n{done.stderr}")
    forecast = json.loads(done.stdout)
    return {"put_ns": forecast["put_ns"], "get_ns": forecast["get_ns"], "from_disk": forecast["gets_from_disk"],
            "gc": forecast["reference_messages"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("costs")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--members", default="2,4,8")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--spill", default=None, help="directory on a disk; the present one by default")
    parser.add_argument("--only", default="", help="cases that begin so")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f} at the start")
    print("| workload | members | phase | measured (least to most) | predicted | predicted / measured |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=given.spill or ".") as spill:
        for name, options in CASES:
            if not name.startswith(given.only):
                continue
            for members in map(int, given.members.split(",")):
                runs = [measure(given.build, members, options, spill) for _ in range(given.repetitions)]
                forecast = predict(given.build, members, options, given.costs, cores)
                for phase in ("put", "get"):
                    times = [run[f"{phase}_ns"] / 1e6 for run in runs]
                    middle, expected = statistics.median(times), forecast[f"{phase}_ns"] / 1e6
                    print(f"| {name} | {members} | {phase} | {middle:.1f} ms ({min(times):.1f} to {max(times):.1f}) | "
                          f"{expected:.1f} ms | {expected / middle:.2f} |", flush=True)
                counts = [statistics.median(run[key] for run in runs) for key in ("gc", "from_disk")]
                print(f"| {name} | {members} | messages for references; gets from disk | {counts[0]:.0f}; {counts[1]:.0f} | "
                      f"{forecast['gc']}; {forecast['from_disk']} | |", flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
