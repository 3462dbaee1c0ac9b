#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures how the code is kept, and fails where a figure is worse than scripts/house_baseline.json.

    check_house.py [--update | --list FIGURE | --fix [PATH...]] [--root REPOSITORY]

    --update   write the figures of today into the baseline (after an improvement)
    --list     print every place that a figure counts
    --fix      put braces and comment marks right in the C++ sources (those below PATH), then run
               clang-format

Three rules that clang-format 14 cannot check:

Braces. A body of one statement has none where head and body fit on one line: `if (done) return;`.
    Every other body has braces: one that does not fit, that holds another if, for or while, or
    that belongs to an if with an else, or an EXPECT or ASSERT in an if, which has an else inside.
Comment marks. `///` stands in headers, above what others use: types, functions, public members.
    Everything else is `//`, and so is every comment of a source.
Banners. A section of a long file begins with one line, `// ---- Title ----...`, of 100 columns at
    most, so that clang-format does not break it.

Figures count places, and less is better. A file's length is in lines; a function's is from its
head to its closing brace. Places in two files with the same six lines count once a pair; blank
lines, comments, includes and lines of brackets or numbers alone do not count as lines.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from house.braces import COLUMNS, brace_faults, with_right_braces
from house.cpp_source import Source

AREAS = ("include", "src", "tools", "tests", "benchmarks", "examples", "scripts", "cmake")
CPP_SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
SCRIPT_SUFFIXES = {".py", ".sh"}
BASELINE = "scripts/house_baseline.json"
LONG_FILE = 600
LONG_FUNCTION = 47
RUN = 6
SHOWN = 12  # places that are printed for a figure that got worse

BANNER = re.compile(r"^\s*// ---- \S.* -{4,}$")
OBJECTIVES = "Sft|Dpo|Ppo|Simpo|Cycle|Transfer|Prototype|ContrastivePerplexity"
OBJECTIVE_ROOMS = "src/recipes/objectives/"  # where an objective's own source may ask for its options


def sources_of(root):
    """Returns the C++ sources and the paths of the scripts of a tree, by name."""
    paths = [path for area in AREAS if (root / area).is_dir() for path in sorted((root / area).rglob("*"))]
    paths = [path for path in paths if path.is_file() and not path.is_symlink()]
    cpp = [Source(root, path) for path in paths if path.suffix in CPP_SUFFIXES]
    return cpp, [path for path in paths if path.suffix in SCRIPT_SUFFIXES]


# ---- Figures: each returns the places it counts ----


def long_files(tree):
    return [f"{source.name}: {len(source.lines) - 1} lines" for source in tree.cpp if len(source.lines) - 1 > LONG_FILE]


def long_functions(tree):
    return [
        f"{source.place(one.start)}: {one.num_lines()} lines"
        for source in tree.cpp
        for one in source.declarations
        if one.kind == "function" and one.num_lines() > LONG_FUNCTION
    ]


def undocumented_types(tree):
    return [
        f"{source.place(one.start)}: {one.type_name()}"
        for source in tree.public_headers()
        for one in source.declarations
        if one.kind == "type" and one.is_visible() and not one.comment_above().startswith("///")
    ]


def undocumented_functions(tree):
    """Free functions, and public member functions. A second of a pair may share the first one's comment."""
    found = []
    for source in tree.public_headers():
        last_line, is_told = 0, False
        for one in sorted(source.declarations, key=lambda one: one.start):
            name = one.function_name()
            if name is None or one.kind == "type" or not one.is_visible():
                continue
            line = source.line_of(one.start)
            is_told = one.comment_above().startswith("///") or (is_told and line == last_line + 1)
            last_line = source.line_of(one.close)
            if not is_told and not is_plain_member(one, name):
                found.append(f"{source.name}:{line}: {name}")
    return found


def is_plain_member(one, name):
    """Constructors, destructors, operators, and what overrides a documented function."""
    ending = one.source.code[one.start : one.close + 1]
    return (
        name.startswith("~") or name == "operator_" or (one.in_type and name == one.names[-1])
        or bool(re.search(r"\boverride\b|=\s*(default|delete)\s*;", ending)) or name == "visit_fields"
    )


def errors_without_value(tree):
    """Thrown messages without a place for a value."""
    found = []
    for source in tree.cpp:
        if not source.name.startswith(("src/", "include/")):
            continue
        for call in re.finditer(r"\b(throw_<[^<>]*>|CPX_CHECK)\s*\(", source.code):
            end = source.closing.get(call.end() - 1, call.end())
            words = re.findall(r'"((?:\\.|[^"\\])*)"', source.text[call.end() : end])
            if words and "{" not in "".join(words):
                found.append(f"{source.place(call.start())}: {words[0][:60]}")
    return found


def twin_runs(tree):
    """Pairs of places with RUN or more equal lines; the longest run of a pair counts once."""
    lines, windows = {}, defaultdict(list)
    for name, text in tree.texts():
        kept = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if counts_as_line(line.strip())]
        lines[name] = kept
        for first in range(len(kept) - RUN + 1):
            windows[tuple(line for _, line in kept[first : first + RUN])].append((name, first))
    found = []
    for places in windows.values():
        for index, a in enumerate(places):
            for b in places[index + 1 :]:
                run = equal_lines(lines, a, b)
                if run:
                    found.append(f"{a[0]}:{lines[a[0]][a[1]][0]} = {b[0]}:{lines[b[0]][b[1]][0]}: {run} lines")
    return sorted(found)


def counts_as_line(line):
    return bool(re.search(r"\b[A-Za-z_]", line)) and not re.match(r"(//|#|/\*|\*|using |namespace |import |from |TEST)", line)


def equal_lines(lines, a, b):
    """Returns the length of the equal run that begins at both places; 0 where it began before."""
    (name_a, i), (name_b, j) = a, b
    if name_a == name_b and abs(i - j) < RUN:
        return 0
    if i > 0 and j > 0 and lines[name_a][i - 1][1] == lines[name_b][j - 1][1]:
        return 0
    run = 0
    while i + run < len(lines[name_a]) and j + run < len(lines[name_b]) and lines[name_a][i + run][1] == lines[name_b][j + run][1]:
        run += 1
    return run


def matching_lines(tree, areas, pattern):
    pattern = re.compile(pattern)
    return [
        f"{source.name}:{number}: {line.strip()[:80]}"
        for source in tree.cpp
        if source.name.startswith(areas)
        for number, line in enumerate(source.code.split("\n"), 1)
        if pattern.search(line)
    ]


def objective_questions(tree):
    """Questions for the type of an objective's options, outside the objectives' own sources."""
    found = matching_lines(tree, ("src/",), rf"(holds_alternative|get_if|std::get)<.*({OBJECTIVES})Options>")
    return [place for place in found if not place.startswith(OBJECTIVE_ROOMS)]


def enums_by_position(tree):
    return matching_lines(tree, ("src/recipes/", "include/cpx/recipes/"), r"static_cast<(objectives|training)::")


def faults_as_strings(tree):
    return matching_lines(tree, ("src/", "include/"), r"std::vector<std::string>&\s*faults\b")


def names_in_two_namespaces(tree):
    spaces = defaultdict(set)
    for source in tree.public_headers():
        for one in source.declarations:
            if one.kind == "type" and not one.in_type and one.is_visible():
                spaces[one.type_name()].add("::".join(one.names))
    return [f"{name}: {', '.join(sorted(where))}" for name, where in sorted(spaces.items()) if len(where) > 1]


def wrong_marks(tree):
    found = []
    for source in tree.cpp:
        if not source.is_header:
            found += [f"{source.name}:{n}: /// in a source" for n, line in enumerate(source.lines, 1) if re.match(r"\s*///", line)]
            continue
        for one in source.declarations:
            is_usable = one.kind == "type" or one.function_name() is not None
            comment = one.comment_above()
            if is_usable and one.is_visible() and comment and not comment.startswith("///") and not BANNER.match(comment):
                found.append(f"{source.place(one.start)}: // above a declaration that others use")
    return found


def broken_banners(tree):
    return [
        f"{source.name}:{number}: {line.strip()[:60]}"
        for source in tree.cpp
        for number, line in enumerate(source.lines, 1)
        if re.match(r"\s*// ?-{4}", line) and (not BANNER.match(line) or len(line) > COLUMNS)
    ]


def own_message_of(tree):
    """Tests that write down again what tests/support/errors.h has."""
    found = matching_lines(tree, ("tests/",), r"\bmessage_of\w*\s*(\(\s*(const|std|int|Call|[A-Z]\w*[ &])[^)]*[\w&]|= \[)")
    return [place for place in found if not place.startswith("tests/support/")]


def unnamed_parameters(tree):
    """Parameterised tests whose names are numbers."""
    found = []
    for source in tree.cpp:
        for call in re.finditer(r"\bINSTANTIATE_TEST_SUITE_P\s*\(", source.code):
            end = source.closing.get(call.end() - 1, call.end())
            if len(top_level_parts(source.code[call.end() : end])) < 4:
                found.append(source.place(call.start()))
    return found


def top_level_parts(code):
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(code):
        depth += (letter in "({[") - (letter in ")}]")
        if letter == "," and depth == 0:
            parts.append(code[start:index])
            start = index + 1
    return parts + [code[start:]]


def wrong_braces(tree):
    return [f"{source.place(start)}: {what}" for source in tree.cpp for start, _, _, what in brace_faults(source)]


def fix(tree, paths):
    """Changes braces, and in sources comment marks, below `paths` (everywhere where there are none)."""
    wanted = [path.rstrip("/") for path in paths]
    changed = []
    for source in tree.cpp:
        if wanted and not any(source.name == path or source.name.startswith(path + "/") for path in wanted):
            continue
        before, text = None, source.text
        while text != before:
            before = text
            text = with_right_braces(Source(tree.root, source.path, text))
        if not source.is_header:
            text = re.sub(r"^([ \t]*)///(?!/)", r"\1//", text, flags=re.M)
        if text != source.text:
            source.path.write_text(text, encoding="utf-8")
            changed.append(source.path)
    if changed:
        subprocess.run(["clang-format-14", "-i", *changed], check=True)
    print(f"[check_house] {len(changed)} files changed")


# ---- The table ----

FIGURES = {
    "files over 600 lines": long_files,
    "functions over 47 lines": long_functions,
    "public types without a comment": undocumented_types,
    "public functions without a comment": undocumented_functions,
    "errors without a value": errors_without_value,
    "runs of six lines in two places": twin_runs,
    "type questions on objectives": objective_questions,
    "enums cast by position": enums_by_position,
    "faults as strings": faults_as_strings,
    "type names in two namespaces": names_in_two_namespaces,
    "braces against the rule": wrong_braces,
    "comment marks against the rule": wrong_marks,
    "broken section banners": broken_banners,
    "own definitions of message_of": own_message_of,
    "parameterised tests without names": unnamed_parameters,
}


class Tree:
    def __init__(self, root):
        self.root = root
        self.cpp, self.scripts = sources_of(root)

    def public_headers(self):
        return [source for source in self.cpp if source.name.startswith("include/")]

    def texts(self):
        """Yields (name, text) of all sources and scripts."""
        for source in self.cpp:
            yield source.name, source.text
        for path in self.scripts:
            yield path.relative_to(self.root).as_posix(), path.read_text(encoding="utf-8")


def spread(numbers):
    """Returns median, 90th percentile and maximum as text."""
    numbers = sorted(numbers) or [0]
    return f"{int(statistics.median(numbers))}/{numbers[int(0.9 * (len(numbers) - 1))]}/{numbers[-1]}"


def read_baseline(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        sys.exit(f"[check_house] {path}: no baseline, expected one. Run scripts/check_house.py --update.")


def compare(tree, places, baseline):
    """Prints the table; returns whether no figure is worse than the baseline."""
    functions = [one.num_lines() for source in tree.cpp for one in source.declarations if one.kind == "function"]
    print(f"lines a file      {spread([len(source.lines) - 1 for source in tree.cpp])} (median/p90/most)")
    print(f"lines a function  {spread(functions)}")
    print(f"{'figure':<36}{'now':>6}{'baseline':>10}")
    worse = []
    for figure, found in places.items():
        before = baseline.get(figure, 0)
        verdict = "  WORSE" if len(found) > before else "  better" if len(found) < before else ""
        print(f"{figure:<36}{len(found):>6}{before:>10}{verdict}")
        if len(found) > before:
            worse.append(figure)
    for figure in worse:
        print(f"\n{figure}: {len(places[figure])}, expected at most {baseline.get(figure, 0)}:")
        for place in places[figure][:SHOWN]:
            print(f"  {place}")
        if len(places[figure]) > SHOWN:
            print(f"  and {len(places[figure]) - SHOWN} more: scripts/check_house.py --list '{figure}'")
    return not worse


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--list", metavar="FIGURE", choices=FIGURES)
    parser.add_argument("--fix", metavar="PATH", nargs="*")
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent)
    arguments = parser.parse_args()
    tree = Tree(arguments.root.resolve())
    if arguments.fix is not None:
        return fix(tree, arguments.fix)
    if arguments.list:
        return print("\n".join(FIGURES[arguments.list](tree)))
    places = {figure: measure(tree) for figure, measure in FIGURES.items()}
    path = tree.root / BASELINE
    if arguments.update:
        path.write_text(json.dumps({figure: len(found) for figure, found in places.items()}, indent=2) + "\n", encoding="utf-8")
    if not compare(tree, places, read_baseline(path)):
        sys.exit(1)
    return None


if __name__ == "__main__":
    main()
