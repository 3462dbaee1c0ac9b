#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants a fault for each check of .clang-tidy and sees whether clang-tidy 14 finds it; skipped where it is not here."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOL = shutil.which("clang-tidy-14")

# check, source
FAULTS = {
    "bugprone-infinite-loop": "int f(int n) { int s = 0; int i = 0; while (i < n) { ++s; } return s; }",
    "bugprone-integer-division": "double f(int a) { return 1.5 + a / 2; }",
    "bugprone-too-small-loop-variable": "int f(long n) { int s = 0; for (short i = 0; i < n; ++i) s += i; return s; }",
    "bugprone-unused-raii": "struct Guard { Guard(); ~Guard(); };\nint f() { Guard(); return 1; }",
    "bugprone-use-after-move": "std::string f(std::string a) { std::string b = std::move(a); return a + b; }",
    "google-explicit-constructor": "struct Size { Size(int rows); };",
    "misc-redundant-expression": "bool f(int a) { return a == a; }",
    "misc-unused-using-decls": "namespace n { struct A {}; }\nusing n::A;",
    "modernize-use-override": "struct A { virtual ~A() = default; virtual int f(); };\nstruct B : A { virtual int f(); };",
    "performance-for-range-copy": "size_t f(const std::vector<std::string>& a) { size_t s = 0; for (const auto b : a) s += b.size(); return s; }",
    "performance-move-const-arg": "void g(int a);\nvoid f(int a) { g(std::move(a)); }",
    "readability-identifier-naming": "struct text_batch { int size = 0; };",
}
INCLUDES = "#include <cstddef>\n#include <string>\n#include <string_view>\n#include <utility>\n#include <vector>\n"


def checks_of_config():
    text = (ROOT / ".clang-tidy").read_text(encoding="utf-8")
    return set(re.findall(r"^  ([a-z]+-[a-z-]+),?$", text, re.MULTILINE))


def found_in(source):
    """The checks that complain of a source."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "planted.cpp"
        file.write_text(INCLUDES + source + "\n", encoding="utf-8")
        command = [TOOL, "--quiet", f"--config-file={ROOT / '.clang-tidy'}", str(file), "--", "-std=c++20"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return set(re.findall(r"\[([a-z]+-[a-z-]+),-warnings-as-errors\]$", result.stdout, re.MULTILINE))


@unittest.skipIf(TOOL is None, "no clang-tidy-14 here (scripts/bootstrap.sh --checks)")
class ClangTidy(unittest.TestCase):
    def test_each_check_has_a_planted_fault(self):
        self.assertEqual(checks_of_config(), set(FAULTS))

    def test_each_check_finds_its_fault(self):
        sources = [f"namespace fault_{number} {{\n{source}\n}}" for number, source in enumerate(FAULTS.values())]
        self.assertEqual(found_in("\n".join(sources)), set(FAULTS))

    def test_a_right_source_has_no_fault(self):
        self.assertEqual(found_in("constexpr int kSize = 2;\nint size_of(int num_rows) { return kSize * num_rows; }"), set())


if __name__ == "__main__":
    unittest.main()
