#!/usr/bin/env python3
"""Jobs of random traffic, one after the other, until the time is over: what a job puts, passes on, pins, spills and
erases leaves nothing behind, neither in its processes after each round nor on disk after it. Members and whole jobs are
killed now and then. Exit code 0: all is as it was; 1: it is not, and the line that says so names the seed."""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time

RANKS = 4
LONGEST_JOB_S = 420  # ends a job that hangs
ROUND_LINE = re.compile(r"soak: rank (\d+) round (\d+): (\d+) operations, ([^,]+), (\d+) tokens, (\d+) full, (\d+) lost, "
                        r"(\d+) spilled, (\d+) restored, (\d+) evicted, (\d+) moved; (.*)")


def variables(number, dice):
    """How the members of one job are opened."""
    return {
        "HOLDFAST_ARENA": dice.choice(["24MiB", "32MiB", "64MiB"]),
        "HOLDFAST_PAGES": "base",
        "HOLDFAST_COLLECT": ["lazy", "eager"][number % 2],
        "HOLDFAST_EVICTION": dice.choice(["lru", "s3_fifo"]),
        "HOLDFAST_SAME_HOST": ["memory", "fabric", "memory"][number % 3],
        "HOLDFAST_SPILL_ABOVE": dice.choice(["50", "80"]),
        "HOLDFAST_TOKEN_LIFETIME": "1",
        "HOLDFAST_MEMBER_TIMEOUT": "1",
        "HOLDFAST_OPEN_TIMEOUT": "120",
        "HOLDFAST_LOG": "error",
    }


class Soak:
    def __init__(self, arguments, directory):
        self.arguments = arguments
        self.spill = os.path.join(directory, "spill")
        self.directory = directory
        os.mkdir(self.spill)
        self.operations = self.jobs = self.tokens = self.spilled = self.restored = 0

    def job(self, number, death, rounds, round_s):
        """Returns what is wrong; empty: nothing."""
        seed = self.arguments.seed * 1000 + number
        dice = random.Random(seed)
        opened = variables(number, dice)
        meet = tempfile.mkdtemp(prefix="meet-", dir=self.directory)
        command = [self.arguments.run, "-n", str(RANKS), "--no-prefix", "--no-pin", *(["--keep-going"] if death else []),
                   "--rendezvous", self.directory, "--timeout", str(LONGEST_JOB_S),
                   self.arguments.member, "--meet", meet, "--seed", str(seed), "--rounds", str(rounds),
                   "--round-ms", str(int(round_s * 1000))]
        living = RANKS
        if death == "member":
            command += ["--victim", str(dice.randrange(RANKS))]
            living -= 1
        elif death == "job":
            command += ["--all-die"]
            living = 0
        print(f"job {number}: seed {seed}, {rounds} rounds of {round_s:.1f} s, {death or 'nobody'} killed, "
              + ", ".join(f"{k[9:].lower()} {v}" for k, v in sorted(opened.items())), flush=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        done = subprocess.run(command, env=environment | opened | {"HOLDFAST_SPILL": self.spill}, text=True,
                              capture_output=True, check=False)
        sys.stderr.write(done.stderr)
        self.jobs += 1
        for m in map(ROUND_LINE.fullmatch, done.stdout.splitlines()):
            if m:
                print(f"  rank {m[1]} round {m[2]}: {m[3]} operations, {m[4]}, {m[8]} spilled, {m[9]} restored, {m[6]} full, "
                      f"{m[7]} lost; {m[12]}")
        clean = re.findall(r"(?m)^soak: rank \d+ clean: (\d+) operations, [^,]+, (\d+) tokens.* (\d+) spilled, (\d+) restored",
                           done.stdout)
        self.operations += sum(int(c[0]) for c in clean)
        self.tokens += sum(int(c[1]) for c in clean)
        self.spilled += sum(int(c[2]) for c in clean)
        self.restored += sum(int(c[3]) for c in clean)
        expected = 137 if death else 0
        if done.returncode != expected:
            return f"job {number}: exit code {done.returncode} instead of {expected}"
        if len(clean) != living:
            return f"job {number}: {len(clean)} of {living} ranks came to their end"
        left = os.listdir(self.spill)
        if not death and left:
            return f"job {number}: spill files are left: {left}"
        return ""

    def run(self):
        until = time.monotonic() + self.arguments.seconds
        number, worst = 0, ""
        # The first ones in this order, however short the time; then as it comes. One without deaths is the last: it
        # finds, and removes, what the others have left.
        deaths = ["member", "job"]
        dice = random.Random(self.arguments.seed)
        share = self.arguments.seconds / 4
        rounds, round_s = (3, 1.0) if self.arguments.seconds < 120 else (6, 5.0)
        while not worst and (number < len(deaths) or time.monotonic() < until - share):
            death = deaths[number] if number < len(deaths) else dice.choice(["", "", "member", "member", "job"])
            worst = self.job(number, death, rounds, round_s)
            number += 1
        worst = worst or self.job(number, "", rounds, round_s)
        print(f"soak: {self.jobs} jobs, {self.operations} operations, {self.tokens} tokens redeemed, {self.spilled} objects "
              f"spilled, {self.restored} restored: " + (worst or "everything is as it was"), flush=True)
        return 1 if worst else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="holdfast-run")
    parser.add_argument("--member", required=True, help="the program soak")
    parser.add_argument("--seconds", type=float, default=600, help="how long, about")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of everything that is random")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-soak-") as directory:
        return Soak(arguments, directory).run()


if __name__ == "__main__":
    sys.exit(main())
