#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run_unit_tests.py on planted programs: what it counts and when it fails."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/run_unit_tests.py"

CHILD = "[==========] 1 test from 1 test suite ran. (0 ms total)\\n"
PASSES = "[ RUN      ] A.One\\n[       OK ] A.One (0 ms)\\n[==========] 3 tests from 1 test suite ran. (5 ms total)\\n"
FAILS = (
    "[  FAILED  ] A.One (0 ms)\\n[  FAILED  ] Cases/B.Two/3, where GetParam() = 4-byte object (1 ms)\\n"
    "[==========] 5 tests from 2 test suites ran. (5 ms total)\\n"
    "[  FAILED  ] 2 tests, listed below:\\n[  FAILED  ] A.One\\n"
)


class RunUnitTests(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.build = Path(self.folder.name)
        self.listed = []

    def program(self, name, text, status=0, label="unit"):
        path = self.build / name
        path.write_text(f"#!/bin/sh\nprintf '{text}'\nexit {status}\n", encoding="utf-8")
        path.chmod(0o755)
        for test in ("One", "Two"):  # two tests of one program: it runs once
            self.listed.append(f'add_test({name}.{test} "{path}" "--gtest_filter={test}")')
            self.listed.append(
                f"set_tests_properties({name}.{test} PROPERTIES LABELS {label} ENVIRONMENT A=1 "
                f'WORKING_DIRECTORY "{self.build}")'
            )

    def run_script(self):
        (self.build / "CTestTestfile.cmake").write_text("\n".join(self.listed) + "\n", encoding="utf-8")
        return subprocess.run([sys.executable, str(SCRIPT), str(self.build)], capture_output=True, text=True, check=False)

    def test_programs_that_pass_are_added_up(self):
        self.program("a", PASSES)
        self.program("b", CHILD + PASSES)
        self.program("tool", FAILS, 1, label="tool")
        done = self.run_script()
        self.assertEqual(done.stdout.splitlines()[-1], "100% tests passed, 0 tests failed out of 6")
        self.assertEqual(done.returncode, 0)

    def test_failures_are_named(self):
        self.program("a", PASSES)
        self.program("b", FAILS, 1)
        done = self.run_script()
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.splitlines()[-3:],
                         ["FAILED A.One", "FAILED Cases/B.Two/3", "75% tests passed, 2 tests failed out of 8"])  # fmt: skip

    def test_an_early_end_and_a_status_without_a_failed_test_are_failures(self):
        self.program("early", "[ RUN      ] A.One\\n==1==ERROR: AddressSanitizer\\n", 1)
        self.program("leaks", PASSES, 23)
        done = self.run_script()
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED early (status 1)", done.stdout)
        self.assertIn("ERROR: AddressSanitizer", done.stdout)
        self.assertIn("FAILED leaks (status 23)", done.stdout)

    def test_a_folder_without_tests_is_refused(self):
        done = self.run_script()
        self.assertEqual(done.returncode, 1)
        self.assertIn("no unit tests, expected a build folder. Build tests_unit first.", done.stderr)


if __name__ == "__main__":
    unittest.main()
