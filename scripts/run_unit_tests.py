#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the unit tests of a build folder, one process a test program, and adds up what they say.

ctest starts a process a test; under the sanitizers starting takes longer than most tests. The programs and their
environment are ctest's (label unit). Standard library alone. The last line reads as ctest's. Exits 1 when a test
failed, or a program ended without its summary.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SUMMARY = re.compile(r"^\[=+\] (\d+) tests? from \d+ test suites? ran\.", re.MULTILINE)
FAILED = re.compile(r"^\[  FAILED  \] (\S+?)[,.]?(?: where .*)? \(\d+ ms\)$", re.MULTILINE)
LIMIT_S = 1800


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="build folder, with its unit tests built")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="programs at once")
    return parser.parse_args()


def unit_programs(build):
    """Program -> (environment, working folder)."""
    listed = subprocess.run(["ctest", "--test-dir", str(build), "--show-only=json-v1", "-L", "^unit$"],
                            check=True, capture_output=True, text=True)  # fmt: skip
    programs = {}
    for test in json.loads(listed.stdout)["tests"]:
        properties = {p["name"]: p["value"] for p in test["properties"]}
        if "command" in test:
            variables = dict(v.split("=", 1) for v in properties.get("ENVIRONMENT", []))
            programs[test["command"][0]] = (variables, properties["WORKING_DIRECTORY"])
    return programs


def run(program, variables, folder):
    """(tests that ran, names of those that failed, output); an early end counts as a failure."""
    try:
        done = subprocess.run([program], env={**os.environ, **variables}, cwd=folder, timeout=LIMIT_S, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")  # fmt: skip
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        output, status = (error.stdout or b"").decode(errors="replace"), None
    summaries = SUMMARY.findall(output)  # the last one: a test may start its own program again
    failed = FAILED.findall(output)
    count = int(summaries[-1]) if summaries else len(failed)
    if not summaries or (status != 0 and not failed):
        failed.append(f"{Path(program).name} ({f'status {status}' if status is not None else f'no end in {LIMIT_S} s'})")
        count += 1
    return count, failed, output


def main():
    arguments = parse_arguments()
    programs = unit_programs(arguments.build)
    if not programs:
        print(f"run_unit_tests: [{arguments.build}] no unit tests, expected a build folder. Build tests_unit first.",
              file=sys.stderr)  # fmt: skip
        return 1
    total, failures = 0, []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = {name: pool.submit(run, name, *how) for name, how in programs.items()}
        for name, future in runs.items():
            count, failed, output = future.result()
            total += count
            failures += failed
            if failed:
                print(output)
            print(f"{Path(name).name}: {count} tests, {len(failed)} failed", flush=True)
    for name in failures:
        print(f"FAILED {name}")
    passed = 100 * (total - len(failures)) // max(1, total)
    print(f"{passed}% tests passed, {len(failures)} tests failed out of {total}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
