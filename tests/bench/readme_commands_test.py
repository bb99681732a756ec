#!/usr/bin/env python3
"""readme_commands_test.py HOLDFAST README: each command that README gives for a figure measures something."""

import re
import subprocess
import sys


def main():
    holdfast, readme = sys.argv[1:]
    with open(readme, encoding="utf-8") as text:
        filters = sorted(set(re.findall(r"`holdfast bench --filter ([^`]+)`", text.read())))
    assert filters, "README gives no command"
    cases = subprocess.run([holdfast, "bench", "--list"], check=True, capture_output=True, text=True).stdout.split("\n")
    lost = [one for one in filters if not any(re.search(one, case) for case in cases)]
    assert not lost, f"no case matches {lost}; the cases are {cases}"


if __name__ == "__main__":
    main()
