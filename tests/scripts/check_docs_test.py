#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants faults in a small set of pages and sees whether scripts/check_docs.py finds each."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).parents[2] / "scripts/check_docs.py"

TREE = {
    "README.md": "# A\n\nSee [the tour](docs/tour.md#the-loop-of-train) and `docs/tour.md`.\n",
    "docs/tour.md": "# Tour\n\n## The loop of `train()`\n\n`run()` in `training/trainer.cpp` loops.\n\n"
    "It writes `runs/mine/` and `metrics.jsonl`; see [A](../README.md#a).\n",
    "src/training/trainer.cpp": "void run() {}\n",
}


def check(changes):
    """Returns (exit code, output) of the check on the pages with some files replaced."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**TREE, **changes}.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        result = subprocess.run([sys.executable, CHECK, folder], capture_output=True, text=True, check=False)
        return result.returncode, result.stdout


class CheckDocs(unittest.TestCase):
    def assert_fault(self, page, text, fault):
        self.assertEqual(check({page: text}), (1, fault + "\n"))

    def test_right_pages_have_no_fault(self):
        self.assertEqual(check({}), (0, "docs: 2 pages, no fault\n"))

    def test_a_link_to_nowhere(self):
        self.assert_fault("README.md", "# A\n\n[b](docs/b.md)\n", "README.md:3: the link 'docs/b.md' leads to no file")

    def test_a_link_to_no_heading(self):
        self.assert_fault(
            "README.md", "# A\n\n[b](docs/tour.md#b)\n", "README.md:3: the link 'docs/tour.md#b' leads to no heading"
        )

    def test_a_link_of_another_site_is_not_looked_for(self):
        self.assertEqual(check({"README.md": "# A\n\n[b](https://b.org/c.md)\n"})[0], 0)

    def test_a_file_that_is_gone(self):
        for name in ("training/loop.cpp", "docs/b.md", "src/b/"):
            with self.subTest(name):
                self.assert_fault("README.md", f"# A\n\n- one\n- `{name}`\n", f"README.md:4: there is no '{name}'")

    def test_a_function_that_is_gone(self):
        fault = "docs/tour.md:3: 'walk()' stands in none of the files that the paragraph names"
        self.assert_fault("docs/tour.md", "## The loop of train\n\n`walk()` in `training/trainer.cpp`.\n\n# A\n", fault)

    def test_a_long_line(self):
        wide = "a " * 51
        self.assert_fault("README.md", f"# A\n\n{wide.strip()}\n", "README.md:3: 101 columns, expected at most 100")
        self.assertEqual(check({"README.md": f"# A\n\n| {wide} |\n\n```\n{wide}\n```\n"})[0], 0)


if __name__ == "__main__":
    unittest.main()
