#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/check_report.py: is left out where no Chromium is, and finds planted faults where one is."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "scripts" / "check_report.py"
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "headless_shell")
PAGE = """<!DOCTYPE html><html><head><title>a page</title></head><body><button id="theme">theme</button>
<script>document.documentElement.className = "has-script";{}</script></body></html>
"""


def check(*arguments, **environment):
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=240, check=False, env=environment)


class CheckReport(unittest.TestCase):
    def test_is_left_out_without_chromium(self):
        done = check(PATH="/nowhere")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            done.stdout,
            "check_report: skipped: no Chromium here (chromium-headless-shell, chromium, chromium-browser, "
            "google-chrome, headless_shell), and CHROMIUM names none.\n")

    @unittest.skipUnless(any(map(shutil.which, BROWSERS)), "no Chromium here")
    def test_finds_planted_faults(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            page.write_text(PAGE.format('console.error("planted");'))
            done = check(page, **os.environ)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, r'page.html: console: .*"planted"')
        self.assertIn("page.html: dark or light changes nothing\n", done.stdout)
        self.assertIn("page.html: a script that is not the page's own would run\n", done.stdout)
        self.assertIn("page.html: the grounds are ", done.stdout)


if __name__ == "__main__":
    unittest.main()
