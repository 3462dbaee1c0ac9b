#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Needs scripts/fixtures/requirements.txt: tokenizers 0.23.3.
"""Writes src/tokenizer/bert_unicode.h: what BertNormalizer and BertPreTokenizer do to each character.

The tables are what the peer itself answers for every code point: its crates know other versions of
Unicode than PCRE2 and Python do.
"""

import sys
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

from make_python_unicode import case_ranges, code_points, rows, utf8_literal

TARGET = Path(__file__).resolve().parents[1] / "src" / "tokenizer" / "bert_unicode.h"
HANGUL = range(0xAC00, 0xD7A4)  # taken apart by arithmetic


def normalizer(**flags):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**(off | flags)).normalize_str


def ranges_of(codes):
    ranges = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return ranges


def table(type_name, name, entries, per_row):
    return f"constexpr {type_name} {name}[] = {{\n{rows(entries, per_row)}\n}};\n"


def range_table(name, codes):
    return table("Range", name, [f"{{{first:#x}, {last:#x}}}" for first, last in ranges_of(codes)], 5)


def main():
    clean, strip = normalizer(clean_text=True), normalizer(strip_accents=True)
    spaced, lower = normalizer(handle_chinese_chars=True), normalizer(lowercase=True)
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    codes = [code for code in code_points()]
    stripped = {code: strip(chr(code)) for code in codes if code not in HANGUL}
    singles = [(code, text) for code, text in stripped.items() if len(text) == 1 and text != chr(code)]
    several = [(code, text) for code, text in stripped.items() if len(text) > 1]
    lower_case = [f"{{{a:#x}, {b:#x}, {stride}, {delta}}}" for a, b, stride, delta in case_ranges(lower)]
    lower_several = [code for code in codes if len(lower(chr(code))) > 1]
    assert lower_several == [0x130], lower_several
    parts = [
        "// SPDX-License-Identifier: Apache-2.0",
        "// Made by scripts/make_bert_unicode.py: what BertNormalizer and BertPreTokenizer of tokenizers 0.23.3 do to",
        "// each character.",
        "#pragma once\n\n#include <cstdint>\n",
        "// clang-format off",
        "namespace cpx::tokenizer::bert_unicode {\n",
        "struct Range { char32_t first; char32_t last; };",
        "struct CaseRange { char32_t first; char32_t last; char32_t stride; int32_t delta; };",
        "struct Letter { char32_t code_point; char32_t letter; };",
        "struct Letters { char32_t code_point; const char* letters; };\n",
        "// What clean_text drops.",
        range_table("kDropped", [code for code in codes if clean(chr(code)) == ""]),
        "// What handle_chinese_chars puts spaces around.",
        range_table("kIdeographs", [code for code in codes if spaced(chr(code)) != chr(code)]),
        "// What is a word of its own.",
        range_table("kPunctuation", [code for code in codes if len(split(f"a{chr(code)}b")) == 3]),
        "// What strip_accents drops.",
        range_table("kMarks", [code for code in codes if strip(chr(code)) == ""]),
        "// What strip_accents leaves of a letter; Hangul syllables are not listed.",
        table("Letter", "kStripped", [f"{{{code:#x}, {ord(text):#x}}}" for code, text in singles], 6),
        table("Letters", "kStrippedToSeveral", [f"{{{code:#x}, {utf8_literal(text)}}}" for code, text in several], 3),
        "// Lower case; U+0130 becomes an i and a dot above.",
        table("CaseRange", "kLower", lower_case, 4),
        "}  // namespace cpx::tokenizer::bert_unicode",
        "// clang-format on",
    ]
    TARGET.write_text("\n".join(parts) + "\n")
    print(f"{TARGET.name}: {len(singles)} letters, {len(several)} to several")


if __name__ == "__main__":
    sys.exit(main())
