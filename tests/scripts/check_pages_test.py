#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""That benchmarks/check_pages.py finds planted false figures and old pages, and that the repository has no false one."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks/check_pages.py"
PAGE = """\
<!-- SPDX-License-Identifier: Apache-2.0 -->
# speed: of a test

| | |
|---|---|
| machine | 2 cores, 24 GiB |
| sources | src/kernels 0123456789, src/nn abcdefabcd |

| tokens/s, cpx / hf | at least 2.6 x | 2.66 x | met |
| cpx | 314.2 | 10711 |
| spread | 1,286 |

```bash
cpx-train training.max_steps=77
```
"""
LINK = "[speed](benchmarks/results/speed.md)"


class Repository(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        (self.root / "benchmarks/results").mkdir(parents=True)
        (self.root / "docs").mkdir()
        self.write("benchmarks/results/speed.md", PAGE)

    def write(self, name, text):
        (self.root / name).write_text(text, encoding="utf-8")

    def check(self, readme, *options):
        self.write("README.md", readme)
        command = [sys.executable, SCRIPT, "--root", self.root, *(options or ["--figures"])]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def assert_faults(self, readme, *faults):
        finished = self.check(readme)
        count = f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}"
        last = [f"check_pages: {count} in the figures of 1 files."] if faults else []
        self.assertEqual(finished.stderr.splitlines(), [*faults, *last])
        self.assertEqual(finished.returncode, 1 if faults else 0)

    def test_figures_on_their_page_are_no_fault(self):
        for text in (
            "2.66 x as fast",
            "2.7 times as fast",
            "2.7 x, 314 tokens/s",
            "10.5 GiB",
            "1,286 MiB",
            "314.2 tokens/s and\n2.7 times",
            "at least 2.6 x",
        ):
            self.assert_faults(f"It is {text}, {LINK}.\n")

    def test_a_planted_figure_is_found(self):
        for text, shown in (
            ("2.8 x as fast", "2.8 x"),
            ("2.67 x", "2.67 x"),
            ("2.664 x", "2.664 x"),
            ("7 times", "7 times"),
            ("315 tokens/s", "315 tokens/s"),
            ("10.6 GiB", "10.6 GiB"),
            ("77 %", "77 %"),
            ("12%", "12 %"),
        ):
            self.assert_faults(f"It is {text}, {LINK}.\n", f"README.md:1: {shown}: not on speed.md.")

    def test_each_number_before_a_unit_is_one(self):
        self.assert_faults(
            f"From 1.2 to 2.7 x, {LINK}.\n\n- 314 / 9 % {LINK}\n",
            "README.md:1: 1.2 x: not on speed.md.",
            "README.md:3: 9 %: not on speed.md.",
        )

    def test_a_figure_without_a_link_is_found(self):
        none = "no page of benchmarks/results is linked beside it."
        self.assert_faults("# A\n\nIt is 2.66 x as fast.\n", f"README.md:3: 2.66 x: {none}")
        self.assert_faults(
            f"| a | 2.66 x | {LINK} |\n| b | 2.66 x | |\n- 40 % less\n",
            f"README.md:2: 2.66 x: {none}",
            f"README.md:3: 40 %: {none}",
        )

    def test_output_belongs_to_the_paragraphs_around_it(self):
        self.assert_faults(f"The output:\n\n```\nspeed 2.66 x\n```\n\nAll of it: {LINK}.\n")
        self.assert_faults(
            f"The output:\n\n```\nspeed 2.76 x\n```\n\nAll of it: {LINK}.\n",
            "README.md:1: 2.76 x: not on speed.md.",
        )

    def test_a_section_may_say_that_its_figures_have_no_page(self):
        text = "# A\n\n## B\n\n<!-- figures: computed -->\nIt is 9.9 x.\n\n### C\n\n9 %\n\n"
        self.assert_faults(text)
        self.assert_faults(f"{text}It is 9.9 x, {LINK}.\n", "README.md:12: 9.9 x: not on speed.md.")
        self.assert_faults(
            f"{text}## D\n\n9 %\n", "README.md:14: 9 %: no page of benchmarks/results is linked beside it."
        )

    def test_what_is_no_figure_is_left_alone(self):
        self.assert_faults("It takes 3 x positives + 1, 5 steps, e^-99 times that, 2.11.0 or v1.2 of it.\n")

    def test_a_page_that_is_missing_or_whose_sides_disagree_is_found(self):
        self.assert_faults(
            "It is 2.66 x, [speed](benchmarks/results/gone.md).\n",
            "README.md:1: benchmarks/results/gone.md: no such page.",
        )
        self.write("benchmarks/results/speed.md", "**The sides do not agree, so ...** 2.66 x\n")
        self.assert_faults(
            f"It is 2.66 x, {LINK}.\n", "README.md:1: speed.md: its sides do not agree, so no figure of it is quoted."
        )

    def test_docs_are_read_too(self):
        self.write("docs/a.md", "It is 9.9 x, [speed](../benchmarks/results/speed.md).\n")
        self.assertIn("docs/a.md:1: 9.9 x: not on speed.md.\n", self.check("None.\n").stderr)

    def test_pages_older_than_their_sources_are_listed(self):
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(self.root)]
        for folder in ("src/kernels", "src/nn", "src/models"):
            (self.root / folder).mkdir(parents=True)
            self.write(f"{folder}/a.cpp", folder)
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", "one"], check=True)
        first = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout[:9]
        self.write("src/models/a.cpp", "changed")
        subprocess.run([*git, "commit", "-qam", "two"], check=True)
        self.write("benchmarks/results/commit.md", f"| cpx | 0.1.0, commit {first} with changes |\n")
        self.write("benchmarks/results/lost.md", "| cpx | 0.1.0, commit 0123456 |\n")
        shown = subprocess.run(
            [*git, "rev-parse", "--short=10", "HEAD:src/kernels"], check=True, capture_output=True, text=True
        )
        tree = shown.stdout.strip()
        self.write("benchmarks/results/speed.md", PAGE.replace("0123456789", tree))
        self.write("benchmarks/results/none.md", "# none\n")
        self.write("benchmarks/results/new.md", f"| sources | src/kernels {tree} |\n")
        finished = self.check("None.\n", "--root", str(self.root))
        self.assertEqual(
            finished.stdout.splitlines(),
            [
                "benchmarks/results/commit.md: older than src/models.",
                "benchmarks/results/lost.md: does not tell the sources that it was measured with.",
                "benchmarks/results/none.md: does not tell the sources that it was measured with.",
                "benchmarks/results/speed.md: older than src/nn.",
                "check_pages: all figures of 1 files are on their pages.",
            ],
        )
        self.assertEqual(finished.returncode, 0)


class Ours(unittest.TestCase):
    def test_every_figure_of_readme_and_docs_is_on_its_page(self):
        finished = subprocess.run([sys.executable, SCRIPT, "--figures"], capture_output=True, text=True, check=False)
        self.assertEqual(finished.stderr, "")
        self.assertEqual(finished.returncode, 0)


if __name__ == "__main__":
    unittest.main()
