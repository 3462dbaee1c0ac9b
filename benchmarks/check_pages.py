#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that measured figures in README.md and docs/*.md stand on pages of benchmarks/results, and lists old pages.

A figure is a number with a unit: x (with a decimal), times, %, MiB, GiB, tokens/s, tok/s, pairs/s, GFLOP/s, GB/s. A
paragraph, list item or table row that has one links the page that holds it (rounding apart); a paragraph, the block of
output after it and the next paragraph are one. Under a heading a comment <!-- figures: WHERE THEY COME FROM --> lets
figures without a link stand there, for instance what is computed and not measured; what is linked is checked there too.

A page is old where a folder of its row "sources" has changed since (without the row: the kernels, since its commit);
that is told, and is no fault. Exit 1: a figure
without its page. Python's standard library alone.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

NUMBER = r"\d[\d,]*(?:\.\d+)?"
UNIT = r"(?: ?%|(?<=\.\d) x\b|(?<=\.\d\d) x\b|(?<=\.\d\d\d) x\b| (?:times|MiB|GiB|tokens/s|tok/s|pairs/s|GFLOP/s|GB/s)(?!\w))"
JOINT = r"(?: %| x)?(?: to | and | / |/|, )[+-]?"
# "1.2 to 1.3 times", "0.25 x, 0.27 x": the numbers before one share its unit.
FIGURE = re.compile(rf"(?<![\w.])(?<!\^-)((?:{NUMBER}{JOINT})*{NUMBER})({UNIT})")
LINK = re.compile(r"benchmarks/results/([\w.-]+\.md)|\]\(results/([\w.-]+\.md)\)")
EXEMPTION = re.compile(r"^<!-- figures: .+ -->$")
SOURCES = re.compile(r"^\| sources \| (.+) \|$", re.MULTILINE)
COMMIT = re.compile(r"^\| cpx \| .*\bcommit ([0-9a-f]{7,40})\b", re.MULTILINE)
KERNELS = ("src/kernels", "src/nn", "src/models")  # of a page that has a commit alone
MIB_IN_GIB = 1024


@dataclass
class Block:
    """Lines that belong together, from `line` on (counted from 1). Kinds: heading, exemption, fence, item, text."""

    line: int
    kind: str
    text: str


def kind_of(line):
    if line.startswith("#"):
        return "heading"
    if EXEMPTION.match(line):
        return "exemption"
    return "item" if re.match(r"\s*(?:\||[-*] |\d+\. )", line) else "text"


def plain_blocks(text):
    """Headings, paragraphs, list items, table rows and fenced blocks."""
    blocks, is_open, in_fence = [], False, False
    for number, line in enumerate(text.splitlines(), 1):
        is_mark = line.lstrip().startswith("```")
        if in_fence:
            blocks[-1].text += "\n" + line
            in_fence, is_open = not is_mark, False
        elif is_mark:
            blocks.append(Block(number, "fence", line))
            in_fence = True
        elif not line.strip():
            is_open = False
        elif is_open and kind_of(line) == "text":
            blocks[-1].text += "\n" + line
        else:
            blocks.append(Block(number, kind_of(line), line))
            is_open = blocks[-1].kind in ("item", "text")
    return blocks


def joined(blocks):
    """A fenced block belongs to the paragraph before it and to the one after it."""
    result, joins_next = [], False
    for block in blocks:
        joins = (block.kind == "fence" and result and result[-1].kind == "text") or (joins_next and block.kind == "text")
        joins_next = block.kind == "fence"
        if joins:
            result[-1].text += "\n" + block.text
        else:
            result.append(Block(block.line, "text" if joins_next else block.kind, block.text))
    return result


def blocks_with_exemption(text):
    """(block, whether its section's figures need no page). An exemption ends at the next heading as high as its own."""
    level, exempt_level = 0, None
    for block in joined(plain_blocks(text)):
        if block.kind == "heading":
            level = len(block.text) - len(block.text.lstrip("#"))
            if exempt_level is not None and level <= exempt_level:
                exempt_level = None
        elif block.kind == "exemption":
            exempt_level = level if exempt_level is None else exempt_level
        else:
            yield block, exempt_level is not None


def value_of(text):
    return float(text.replace(",", ""))


def decimals_of(text):
    return len(text.partition(".")[2])


def figures_of(text):
    """(number as written, unit) of each figure."""
    return [
        (number, match[2].strip())
        for match in FIGURE.finditer(" ".join(text.split()))
        for number in re.findall(NUMBER, match[1])
    ]


def numbers_of(page):
    """The numbers of a page as they are written, those of commands left out."""
    text = re.sub(r"```bash.*?```", "", page, flags=re.DOTALL)
    text = re.sub(r"\d{4}-\d\d-\d\d", "", text)
    return re.findall(NUMBER, text)


def is_on(numbers, figure, unit):
    """Whether a page has the figure, or one that rounds to it."""
    value, decimals = value_of(figure), decimals_of(figure)
    allowed = 0.5 * 10**-decimals + 1e-9
    for number in numbers:
        if decimals_of(number) >= decimals and abs(value_of(number) - value) <= allowed:
            return True
        if unit == "GiB" and abs(value_of(number) / MIB_IN_GIB - value) <= allowed:
            return True
    return False


def faults_of(file, root):
    """What is wrong with a file's figures, a line each."""
    faults = []
    for block, is_exempt in blocks_with_exemption((root / file).read_text(encoding="utf-8")):
        figures = figures_of(block.text)
        names = sorted({match[1] or match[2] for match in LINK.finditer(block.text)})
        if not figures:
            continue
        if not names:
            if not is_exempt:
                shown = ", ".join(f"{number} {unit}" for number, unit in figures[:3])
                faults.append(f"{file}:{block.line}: {shown}: no page of benchmarks/results is linked beside it.")
            continue
        missing = [name for name in names if not (root / "benchmarks/results" / name).is_file()]
        faults += [f"{file}:{block.line}: benchmarks/results/{name}: no such page." for name in missing]
        pages = [name for name in names if name not in missing]
        numbers = [n for name in pages for n in numbers_of((root / "benchmarks/results" / name).read_text("utf-8"))]
        faults += [
            f"{file}:{block.line}: {number} {unit}: not on {', '.join(pages)}."
            for number, unit in figures
            if pages and not is_on(numbers, number, unit)
        ]
        faults += [
            f"{file}:{block.line}: {name}: its sides do not agree, so no figure of it is quoted."
            for name in pages
            if "**The sides do not agree" in (root / "benchmarks/results" / name).read_text("utf-8")
        ]
    return faults


def tree_of(folder, commit, root):
    """git's name of a folder's content at a commit; empty where there is none."""
    command = ["git", "rev-parse", "--short=10", "--verify", "--quiet", f"{commit}:{folder}"]
    finished = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return finished.stdout.strip() if finished.returncode == 0 else ""


def sources_of(page, root):
    """(folder, tree) of what a page was measured with: of its row, or of its commit."""
    found = SOURCES.search(page)
    if found:
        return [tuple(part.split(" ", 1)) for part in found[1].split(", ")]
    commit = COMMIT.search(page)
    trees = [(folder, tree_of(folder, commit[1], root)) for folder in KERNELS] if commit else []
    return trees if all(tree for _, tree in trees) else []


def age_of(page, root):
    """What has changed since a page was measured; nothing where it is as new as its sources."""
    sources = sources_of(page, root)
    if not sources:
        return "does not tell the sources that it was measured with"
    changed = [folder for folder, tree in sources if tree_of(folder, "HEAD", root) != tree]
    return f"older than {', '.join(changed)}" if changed else None


def print_ages(root):
    for file in sorted((root / "benchmarks/results").glob("*.md")):
        age = age_of(file.read_text(encoding="utf-8"), root)
        if age:
            print(f"{file.relative_to(root)}: {age}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="of the repository")
    parser.add_argument("--figures", action="store_true", help="figures only, no old pages")
    arguments = parser.parse_args()
    root = arguments.root
    files = ["README.md", *(str(file.relative_to(root)) for file in sorted((root / "docs").glob("*.md")))]
    faults = [fault for file in files for fault in faults_of(file, root)]
    if not arguments.figures:
        print_ages(root)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        count = f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}"
        sys.exit(f"check_pages: {count} in the figures of {len(files)} files.")
    print(f"check_pages: all figures of {len(files)} files are on their pages.")


if __name__ == "__main__":
    main()
