#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants a fault of each kind in a small tree and sees whether scripts/check_house.py counts it."""

import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).parents[2] / "scripts/check_house.py"

HEADER = """// SPDX-License-Identifier: Apache-2.0
// Words of a text.
#pragma once

namespace cpx::text {

/// How words are cut.
enum class Cut { kBlank, kLetter };

/// Options of Words.
struct WordOptions {
  /// At most so many letters.
  int length = 5;
  Cut cut = Cut::kBlank;
};

/// The words of a text.
class Words {
 public:
  explicit Words(WordOptions options) : options_{options} {}
  ~Words();

  /// The number of words.
  int count() const;

 private:
  int next();
  // What it was made with.
  WordOptions options_;
};

/// The longest word.
std::string longest(const Words& words, std::function<void()> done = {});
std::string longest(const Words& words, int limit);

}  // namespace cpx::text
"""

SOURCE = """// SPDX-License-Identifier: Apache-2.0
#include "cpx/text/words.h"

namespace cpx::text {

// ---- Counting ----------------------------------------------------------------------------------

int Words::count() const {
  int sum = 0;
  for (int i = 0; i < 1'000; ++i) sum += i;  // "{" and '{' open nothing here
  if (sum == 0) {
    sum = 1;
  } else {
    sum = 2;
  }
  while (sum < 9) {
    if (sum == 5) return sum;
  }
  do {
    ++sum;
  } while (sum < 20);
  CPX_CHECK(sum > 0, "[words] count: got {}, expected 1 or more.", sum);
  return sum;
}

}  // namespace cpx::text
"""

TREE = {"include/cpx/text/words.h": HEADER, "src/text/words.cpp": SOURCE, "src/empty.h": "#pragma once\n"}


def function(body):
    return f"namespace cpx {{\nint work(int a) {{\n{body}\n}}\n}}  // namespace cpx\n"


class House:
    """A tree in a folder of its own, and the script run on it."""

    def __init__(self, folder, changes=()):
        self.root = Path(folder)
        (self.root / "scripts").mkdir()
        self.write({**TREE, **dict(changes)})

    def write(self, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run(self, *arguments):
        result = subprocess.run(
            [sys.executable, CHECK, *arguments, "--root", self.root], capture_output=True, text=True, check=False
        )
        return result.returncode, result.stdout + result.stderr

    def counts(self):
        code, output = self.run("--update")
        assert code == 0, output
        return json.loads((self.root / "scripts/house_baseline.json").read_text(encoding="utf-8"))


class CheckHouse(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def house(self, changes=()):
        return House(self.folder.name, changes)

    def expect_counted(self, figure, number, changes):
        """Only `figure` differs from the clean tree's 0, and `--list` names as many places."""
        house = self.house(changes)
        counts = {name: count for name, count in house.counts().items() if count}
        self.assertEqual(counts, {figure: number})
        code, output = house.run("--list", figure)
        self.assertEqual((code, len(output.splitlines())), (0, number), output)
        return output

    def test_a_right_tree_has_no_fault(self):
        self.assertEqual(set(self.house().counts().values()), {0})

    def test_a_long_file(self):
        self.expect_counted("files over 600 lines", 1, {"src/text/long.cpp": "\n" * 601})

    def test_a_long_function(self):
        output = self.expect_counted("functions over 47 lines", 1, {"src/long.cpp": function("\n" * 46)})
        self.assertEqual(output, "src/long.cpp:2: 49 lines\n")

    def test_functions_of_every_form_are_measured(self):
        forms = [
            "template <class T>\nT work(T a, int b = {}) {@}",
            "Words::Words(int a) : a_{a}, b_(a) {@}",
            "bool operator==(const A& a, const B& b) {@}",
            "class A {\n  int a = 1;\n\n public:\n  int work() const override {@}\n};",
            "namespace {\nstruct A {\n  static std::map<int, B> work() noexcept {@}\n};\n}",
            "TEST_F(Words, AreCut) {@}",
        ]
        text = "\n\n".join(form.replace("@", "\n" * 48) for form in forms)
        self.expect_counted("functions over 47 lines", len(forms), {"src/forms.cpp": text})

    def test_a_type_without_a_comment(self):
        text = HEADER.replace("/// Options of Words.\n", "")
        output = self.expect_counted("public types without a comment", 1, {"include/cpx/text/words.h": text})
        self.assertEqual(output, "include/cpx/text/words.h:10: WordOptions\n")

    def test_a_function_without_a_comment(self):
        text = HEADER.replace("/// The longest word.\n", "").replace("  /// The number of words.\n", "")
        output = self.expect_counted("public functions without a comment", 3, {"include/cpx/text/words.h": text})
        self.assertEqual(output.splitlines()[0], "include/cpx/text/words.h:23: count")

    def test_an_error_without_a_value(self):
        text = 'CPX_CHECK(a > 0, "[work] got nothing.");\nthrow_<DataError>("[work] wrong" " again.");\nthrow_<A>("{}", a);'
        self.expect_counted("errors without a value", 2, {"src/work.cpp": function(text)})

    def test_the_same_lines_in_two_places(self):
        lines = "\n".join(f"  total += value_{i} * weight_{i};" for i in range(7))
        changes = {"src/a.cpp": function(lines), "tests/b.cpp": function(f"  // other\n{lines}\n  return total;")}
        output = self.expect_counted("runs of six lines in two places", 1, changes)
        self.assertEqual(output, "src/a.cpp:2 = tests/b.cpp:2: 8 lines\n")

    def test_five_lines_are_no_run(self):
        lines = "\n".join(f"  total += value_{i} * weight_{i};" for i in range(5))
        counts = self.house({"src/a.cpp": f"{lines}\n", "src/b.cpp": f"{lines}\n"}).counts()
        self.assertEqual(counts["runs of six lines in two places"], 0)

    def test_a_question_for_the_type_of_an_objective(self):
        text = function("  return std::holds_alternative<objectives::DpoOptions>(kind) + std::get<int>(kind);")
        self.expect_counted(
            "type questions on objectives", 1, {"src/recipes/run.cpp": text, "src/recipes/objectives/dpo.cpp": text}
        )

    def test_an_enum_cast_by_its_position(self):
        text = function("  return f(static_cast<training::Kind>(a), static_cast<int>(a));")
        self.expect_counted("enums cast by position", 1, {"src/recipes/run.cpp": text})

    def test_faults_as_strings(self):
        text = "void check(std::vector<std::string>& faults);\n"
        self.expect_counted("faults as strings", 1, {"src/check.cpp": text})

    def test_a_type_name_in_two_namespaces(self):
        text = "#pragma once\nnamespace cpx::pages {\n/// Another.\nstruct WordOptions {\n  int a;\n};\n}\n"
        output = self.expect_counted("type names in two namespaces", 1, {"include/cpx/pages/page.h": text})
        self.assertEqual(output, "WordOptions: cpx::pages, cpx::text\n")

    def test_braces_around_a_short_statement(self):
        body = "  if (a > 0) {\n    return a;\n  }\n  for (int i : all) {\n    use(i,\n        a);\n  }\n  return 0;"
        self.expect_counted("braces against the rule", 2, {"src/work.cpp": function(body)})

    def test_no_braces_around_a_long_statement(self):
        body = "  if (a > 0)\n    return a;\n  for (int i : all)\n    for (int j : all) use(i, j);"
        self.expect_counted("braces against the rule", 2, {"src/work.cpp": function(body)})

    def test_no_braces_in_an_if_with_an_else(self):
        body = "  if (a > 0) a = 1;\n  else a = 2;"
        self.expect_counted("braces against the rule", 2, {"src/work.cpp": function(body)})

    def test_a_statement_that_does_not_fit_keeps_its_braces(self):
        body = "  if (a > 0) {\n    return " + "a" * 90 + ";\n  }\n  if (b) {\n    return 1;  // a reason\n  }\n"
        body += "  if (c) {\n    EXPECT_EQ(c, 1) << 2;\n  }"
        self.assertEqual(self.house({"src/work.cpp": function(body)}).counts()["braces against the rule"], 0)

    def test_a_comment_mark_in_the_wrong_place(self):
        header = "#pragma once\n// Wrong.\nint one();\n/// Right.\nint two();\n"
        source = "/// Wrong.\nint one() { return 1; }\n"
        self.expect_counted("comment marks against the rule", 2, {"src/one.h": header, "src/one.cpp": source})

    def test_a_broken_banner(self):
        broken = "// ---- A title\n// ----------------------\n"
        self.expect_counted("broken section banners", 2, {"src/one.cpp": broken})

    def test_message_of_again(self):
        text = "std::string message_of(const std::function<void()>& call) { return call(); }\n"
        changes = {"tests/support/errors.h": text.replace("\n", "\n\n"), "tests/a_test.cpp": text}
        self.expect_counted("own definitions of message_of", 1, changes)

    def test_parameters_without_names(self):
        text = "INSTANTIATE_TEST_SUITE_P(A, B, Values(C{1, 2}, C{3}));\nINSTANTIATE_TEST_SUITE_P(A, B, Values(1), name);\n"
        self.expect_counted("parameterised tests without names", 1, {"tests/a_test.cpp": text})

    def test_what_is_worse_than_the_baseline_fails_and_is_listed(self):
        house = self.house()
        self.assertEqual(set(house.counts().values()), {0})
        self.assertEqual(house.run()[0], 0)
        house.write({"src/long.cpp": function("\n" * 46)})
        code, output = house.run()
        self.assertEqual(code, 1)
        self.assertRegex(output, r"functions over 47 lines +1 +0  WORSE\n")
        self.assertIn("functions over 47 lines: 1, expected at most 0:\n  src/long.cpp:2: 49 lines\n", output)
        house.run("--update")
        house.write({"src/long.cpp": ""})
        code, output = house.run()
        self.assertEqual(code, 0)
        self.assertRegex(output, r"functions over 47 lines +0 +1  better\n")

    def test_without_a_baseline(self):
        code, output = self.house().run()
        self.assertEqual(code, 1)
        self.assertIn("house_baseline.json: no baseline, expected one. Run scripts/check_house.py --update.", output)

    @unittest.skipUnless(shutil.which("clang-format-14"), "no clang-format-14 here")
    def test_fix_changes_braces_and_marks_and_nothing_else(self):
        body = (
            "  if (a > 0) {\n    return a;\n  }\n  for (int i : all)\n    for (int j : all) {\n      use(i, j);\n    }\n"
            "  if (a < 0) {\n    a = 1;\n  } else {\n    a = 2;\n  }\n  return 0;"
        )
        style = (CHECK.parents[1] / ".clang-format").read_text(encoding="utf-8")
        files = {"src/work.cpp": "/// A comment.\n" + function(body), "tests/work.cpp": function(body)}
        house = self.house({**files, ".clang-format": style})
        code, output = house.run("--fix", "src")
        self.assertEqual((code, output), (0, "[check_house] 1 files changed\n"))
        fixed = (
            "  if (a > 0) return a;\n  for (int i : all) {\n    for (int j : all) use(i, j);\n  }\n"
            "  if (a < 0) {\n    a = 1;\n  } else {\n    a = 2;\n  }\n  return 0;"
        )
        self.assertEqual((house.root / "src/work.cpp").read_text(encoding="utf-8"), "// A comment.\n" + function(fixed))
        self.assertEqual((house.root / "tests/work.cpp").read_text(encoding="utf-8"), function(body))
        self.assertEqual(house.counts()["comment marks against the rule"], 0)


if __name__ == "__main__":
    unittest.main()
