#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the pages lead where they say; one line a fault, then exit 1.

    check_docs.py [REPOSITORY_ROOT]

Links: a relative link leads to a file of the repository, and its #anchor to a heading there.
Files: a path between backticks (`training/trainer.cpp`, `scripts/test.sh`) that begins with a folder of ours is a file
or folder, from the root, src/, include/cpx/, docs/ or benchmarks/. Paths that come into being (build/, runs/) need not be.
Functions: in docs/tour.md a `name()` stands in one of the files that its paragraph names.
Width: no line of prose is longer than its page allows. Standard library alone.
"""

import re
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"^(?:[\w.-]+/)+[\w.-]*$")
FUNCTION = re.compile(r"^(\w+)\(\)$")
SUFFIX = re.compile(r"\.(?:h|cpp|cu|py|sh|md|yaml|yml|json|txt|cmake|cff)$")
MADE_LATER = ("build/", "runs/", "models/", "third_party/", "data/toxigen", "data/safenlp", "checkpoints/", "best/", "final/")
BASES = ("", "src", "include/cpx", "docs", "benchmarks")
# Columns of prose; 140 where a page is not named. docs/config.md is made by a test.
WIDTHS = {
    "README.md": 100,
    "CHANGELOG.md": 100,
    "CONTRIBUTING.md": 100,
    "SECURITY.md": 100,
    "docs/README.md": 100,
    "docs/tour.md": 100,
    "docs/usage.md": 120,
    "docs/config.md": None,
}
TOUR = "docs/tour.md"


def pages(root):
    names = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
    return [name for name in names if (root / name).is_file()] + [
        str(path.relative_to(root)) for path in sorted((root / "docs").glob("*.md"))
    ]


def paragraphs(text):
    """(number of its first line, lines) of each run of lines without a blank one; fenced blocks are left out."""
    result, in_fence, is_open = [], False, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_fence, is_open = not in_fence, False
        elif in_fence or not line.strip():
            is_open = False
        elif is_open and not re.match(r"\s*(?:[-*] |\d+\. )", line):
            result[-1][1].append(line)
        else:
            result.append((number, [line]))
            is_open = True
    return result


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines():
        heading = re.match(r"#+ (.*)", line)
        if heading:
            found.add(re.sub(r"[^\w -]", "", heading[1].lower()).replace(" ", "-"))
    return found


def check_link(root, page, number, target, faults):
    if re.match(r"[a-z]+:", target):
        return
    name, _, anchor = target.partition("#")
    file = (root / page).parent / name if name else root / page
    if not file.exists():
        faults.append(f"{page}:{number}: the link '{target}' leads to no file")
    elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
        faults.append(f"{page}:{number}: the link '{target}' leads to no heading")


def file_of(root, name):
    """The file or folder that a page means by `name`, or None."""
    for base in BASES:
        path = root / base / name
        if path.exists():
            return path
    return None


def check_files(root, page, number, spans, faults):
    """Checks the paths among `spans`; returns the files that they name."""
    files = []
    for span in spans:
        is_path = PATH.match(span) and (SUFFIX.search(span) or span.endswith("/"))
        if not is_path:
            continue
        file = file_of(root, span)
        if file is not None:
            files.append(file)
        elif not span.startswith(MADE_LATER) and file_of(root, span.split("/")[0]) is not None:
            faults.append(f"{page}:{number}: there is no '{span}'")
    return files


def check_functions(page, number, spans, files, faults):
    for span in spans:
        name = FUNCTION.match(span)
        if not name:
            continue
        word = re.compile(rf"\b{name[1]}\b")
        if not any(file.is_file() and word.search(file.read_text(encoding="utf-8")) for file in files):
            faults.append(f"{page}:{number}: '{span}' stands in none of the files that the paragraph names")


def check_page(root, page, faults):
    width = WIDTHS.get(page, 140)
    for number, lines in paragraphs((root / page).read_text(encoding="utf-8")):
        text = "\n".join(lines)
        for target in LINK.findall(text):
            check_link(root, page, number, target, faults)
        spans = SPAN.findall(text)
        files = check_files(root, page, number, spans, faults)
        if page == TOUR and not text.startswith("#"):
            check_functions(page, number, spans, files, faults)
        for offset, line in enumerate(lines):
            if width and len(line) > width and not line.startswith("|"):
                faults.append(f"{page}:{number + offset}: {len(line)} columns, expected at most {width}")


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    faults = []
    found = pages(root)
    for page in found:
        check_page(root, page, faults)
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(1)
    print(f"docs: {len(found)} pages, no fault")


if __name__ == "__main__":
    main()
