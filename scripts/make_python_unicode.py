#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/tokenizer/python_unicode.h: Python's case mappings and what repr() escapes, as ranges.

Made with Python 3.11 (Unicode 14).
"""

import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "src" / "tokenizer" / "python_unicode.h"
LAST = sys.maxunicode


def code_points():
    return (code for code in range(LAST + 1) if not 0xD800 <= code <= 0xDFFF)


def unprintable_ranges():
    ranges = []
    for code in code_points():
        if chr(code).isprintable():
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return ranges


def case_ranges(change):
    """Returns [first, last, stride, delta] of the mappings to one character."""
    deltas = {}
    for code in code_points():
        changed = change(chr(code))
        if len(changed) == 1 and changed != chr(code):
            deltas[code] = ord(changed) - code
    ranges = []
    done = set()
    for code, delta in deltas.items():
        if code in done:
            continue
        best = (code, 1)
        for stride in (1, 2):
            last = code
            while deltas.get(last + stride) == delta and (stride == 1 or deltas.get(last + 1) != delta):
                last += stride
            best = max(best, (last, stride), key=lambda pair: pair[0])
        last, stride = best
        done.update(range(code, last + 1, stride))
        ranges.append([code, last, stride, delta])
    return ranges


def special_cases(change):
    return [(code, change(chr(code))) for code in code_points() if len(change(chr(code))) > 1]


def rows(entries, per_row):
    lines = []
    for start in range(0, len(entries), per_row):
        lines.append("    " + " ".join(entry + "," for entry in entries[start : start + per_row]))
    return "\n".join(lines)


def utf8_literal(text):
    return '"' + "".join(f"\\x{byte:02X}" for byte in text.encode()) + '"'


def main():
    parts = [
        "// SPDX-License-Identifier: Apache-2.0",
        "// Made by scripts/make_python_unicode.py (Unicode 14): Python's case mappings and unprintable characters.",
        "#pragma once\n\n#include <cstdint>\n",
        "// clang-format off",
        "namespace cpx::tokenizer::python_unicode {\n",
        "struct Range { char32_t first; char32_t last; };",
        "struct CaseRange { char32_t first; char32_t last; char32_t stride; int32_t delta; };",
        "struct SpecialCase { char32_t code_point; const char* changed; };\n",
    ]
    unprintable = [f"{{{first:#x}, {last:#x}}}" for first, last in unprintable_ranges()]
    parts.append(f"constexpr Range kUnprintable[] = {{\n{rows(unprintable, 5)}\n}};\n")
    for name, change in (("Upper", str.upper), ("Lower", str.lower), ("Title", str.title)):
        ranges = [f"{{{a:#x}, {b:#x}, {stride}, {delta}}}" for a, b, stride, delta in case_ranges(change)]
        parts.append(f"constexpr CaseRange k{name}[] = {{\n{rows(ranges, 4)}\n}};\n")
        special = [f"{{{code:#x}, {utf8_literal(text)}}}" for code, text in special_cases(change)]
        parts.append(f"constexpr SpecialCase k{name}Special[] = {{\n{rows(special, 2)}\n}};\n")
    parts.append("}  // namespace cpx::tokenizer::python_unicode")
    parts.append("// clang-format on")
    TARGET.write_text("\n".join(parts) + "\n")
    print(f"{TARGET.name}: {len(unprintable)} unprintable ranges")


if __name__ == "__main__":
    main()
