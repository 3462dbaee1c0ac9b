#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants violations in a small tree of modules and sees whether scripts/check_layers.py finds each."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).parents[2] / "scripts/check_layers.py"

TREE = {
    "CMakeLists.txt": "set(CPX_MODULES\n    core\n    tensor text\n    model)\n",
    "docs/design.md": "| level | module | what | may use |\n|---|---|---|---|\n"
    "| 0 | `core` | errors | - |\n| 1 | `tensor` | LibTorch | core |\n"
    "| 1 | `text` | words | core |\n| 2 | `model` | layers | tensor |\n",
    "include/cpx/core/error.h": "#include <string>\n",
    "include/cpx/tensor/device.h": '#include <torch/types.h>\n#include "cpx/core/error.h"\n',
    "include/cpx/text/words.h": "#include <vector>\n",
    "include/cpx/model/layer.h": '#include "cpx/tensor/device.h"\n',
    "src/core/CMakeLists.txt": "cpx_add_module(core SOURCES error.cpp)\n",
    "src/tensor/CMakeLists.txt": "cpx_add_module(tensor SOURCES device.cpp DEPENDS core TORCH)\n",
    "src/text/CMakeLists.txt": "cpx_add_module(text SOURCES words.cpp DEPENDS core)\n",
    "src/model/CMakeLists.txt": "cpx_add_module(model SOURCES layer.cpp DEPENDS tensor TORCH)\n",
    "src/model/layer.cpp": '#include "cpx/model/layer.h"\n#include "cpx/core/error.h"\n#include "table.h"\n',
    "src/model/table.h": "#include <array>\n",
    "tests/model/layer_test.cpp": '#include "src/model/table.h"\n',
}


def check(changes):
    """Returns (exit code, output) of the check on the tree with some files replaced."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**TREE, **changes}.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        result = subprocess.run([sys.executable, CHECK, folder], capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr


class CheckLayers(unittest.TestCase):
    def expect_fault(self, changes, *words):
        code, output = check(changes)
        self.assertEqual(code, 1, output)
        for word in words:
            self.assertIn(word, output)

    def test_a_right_tree_has_no_fault(self):
        code, output = check({})
        self.assertEqual((code, output), (0, "layers: 4 modules, no fault\n"))

    def test_an_include_that_the_row_does_not_allow(self):
        self.expect_fault(
            {"src/text/words.cpp": '#include "cpx/tensor/device.h"\n'},
            "src/text/words.cpp:1: includes 'cpx/tensor/device.h', but 'text' may use only core",
        )

    def test_an_include_upwards(self):
        self.expect_fault(
            {"include/cpx/core/error.h": '#include "cpx/model/layer.h"\n'},
            "include/cpx/core/error.h:1", "'core' may use only nothing",
        )

    def test_an_include_in_angle_brackets(self):
        self.expect_fault({"src/text/words.cpp": "#include <cpx/core/error.h>\n"}, "expected quotes")

    def test_a_cycle_in_the_table(self):
        page = TREE["docs/design.md"].replace("| errors | - |", "| errors | model |")
        self.expect_fault({"docs/design.md": page}, "'core' (level 0) may use 'model' (level 2)")

    def test_a_module_without_a_row(self):
        self.expect_fault({"src/extra/extra.cpp": "\n"}, "src/extra/extra.cpp: 'extra' is no module")

    def test_cmake_and_table_name_other_modules(self):
        self.expect_fault({"CMakeLists.txt": "set(CPX_MODULES core tensor text)\n"}, "'model' must stand in CPX_MODULES")

    def test_cmake_depends_that_the_row_does_not_allow(self):
        self.expect_fault(
            {"src/text/CMakeLists.txt": "cpx_add_module(text SOURCES words.cpp DEPENDS core tensor)\n"},
            "'text' DEPENDS on 'tensor'",
        )

    def test_an_include_that_depends_does_not_cover(self):
        self.expect_fault(
            {"src/model/CMakeLists.txt": "cpx_add_module(model SOURCES layer.cpp)\n"},
            "src/model/CMakeLists.txt: 'model' includes headers of 'tensor', expected it in DEPENDS",
        )

    def test_a_private_header_from_outside(self):
        self.expect_fault(
            {"tests/text/words_test.cpp": '#include "src/model/table.h"\n'},
            "includes the private header 'src/model/table.h', expected only in tests/model",
        )
        self.expect_fault({"src/text/words.cpp": '#include "../model/table.h"\n'}, "a path with '..'")
        self.expect_fault({"src/text/words.cpp": '#include "table.h"\n'}, "no header of its own folder")
        self.expect_fault({"include/cpx/text/words.h": '#include "table.h"\n'}, "is public")

    def test_libtorch_above_the_seam(self):
        self.expect_fault({"src/text/words.cpp": "#include <ATen/ATen.h>\n"}, "'text' may not use tensor")

    def test_a_tool_that_is_not_thin(self):
        self.expect_fault({"tools/cpx_run.cpp": '#include "cpx/model/layer.h"\n'}, "tools may use only core, recipes, tensor")

    def test_a_type_name_in_two_namespaces(self):
        first = "namespace cpx::tensor {\n\nstruct Device {\n  int index = 0;\n};\n\n}  // namespace cpx::tensor\n"
        declarations = ("class Device final : public Base {\n};", "enum class Device { kCpu };", "using Device = int;",
                        "TORCH_MODULE(Device);", "template <class T>\nclass Device {\n};")
        for declaration in declarations:
            line = 3 if declaration.startswith("template") else 2
            second = f"namespace cpx::text {{\n{declaration}\n}}  // namespace cpx::text\n"
            with self.subTest(declaration):
                self.expect_fault(
                    {"include/cpx/tensor/device.h": first, "include/cpx/text/words.h": second},
                    f"include/cpx/text/words.h:{line}: the public type 'Device' is in cpx::text, and in cpx::tensor too "
                    "(include/cpx/tensor/device.h:3); expected a name of its own\n",
                )

    def test_a_type_name_may_come_again_where_nobody_mistakes_it(self):
        first = "namespace cpx::tensor {\nstruct Device {\n  enum class Kind { kCpu };\n};\n}  // namespace cpx::tensor\n"
        second = (
            "namespace cpx::text {\nclass Device;\nstruct Words {\n  enum class Kind { kPlain };\n};\n"
            "}  // namespace cpx::text\n"
        )
        code, output = check({"include/cpx/tensor/device.h": first, "include/cpx/text/words.h": second})
        self.assertEqual((code, output), (0, "layers: 4 modules, no fault\n"))


if __name__ == "__main__":
    unittest.main()
