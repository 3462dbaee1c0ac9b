#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the safety score of cpx-eval-safety with the published one.

    check_safety.py FOLDER [--bin build/release/bin]

FOLDER is a copy of github.com/microsoft/SafeNLP. Its results/ holds the perplexities of the items
of implicitHate.json under GPT-2 and the score that follows from them; cpx must come to the same. The
table of its README has another score of that model and these texts, in which only the perplexities
of hateful texts are scaled: so must `--scale hate`, but for the perplexities' own rounding. Prints
all and exits 1 where they differ. The texts there are toxic: none is printed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

TOLERANCE = 1e-12  # both sum the same doubles, perhaps in another order
TABLE = {"all_groups": 0.259990915}  # README.md at e351b6c: GPT-2, ImplicitHate
TABLE_TOLERANCE = 1e-4  # the table is of another run of the model


def scores_of(arguments, scale):
    """The scores of the groups that count, by name; None where the tool failed."""
    command = [arguments.bin / "cpx-eval-safety", "--perplexities", arguments.folder / "results/perplexities.json"]
    run = subprocess.run([*command, "--scale", scale, "--report", "-"], stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0:
        return None
    groups = json.loads(run.stdout)["groups"]
    return {name: group["score"] for name, group in groups.items() if group["left_out"] is None}


def are_equal(title, ours, published, tolerance):
    """Prints and compares the scores of each group."""
    if ours is None:
        return False
    result = True
    for name in sorted(ours.keys() | published.keys()):
        pair = ours.get(name), published.get(name)
        is_equal = None not in pair and abs(pair[0] - pair[1]) <= tolerance
        result = result and is_equal
        print(f"{title}, {name}: {pair[0]!r}, published {pair[1]!r}: {'equal' if is_equal else 'DIFFERENT'}")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="a copy of github.com/microsoft/SafeNLP")
    parser.add_argument("--bin", type=Path, default="build/release/bin", help="folder of cpx-eval-safety")
    arguments = parser.parse_args()
    published = json.loads((arguments.folder / "results/saftey_scores.json").read_text(encoding="utf-8"))  # their spelling
    checks = [
        are_equal("safety_score.py", scores_of(arguments, "both"), published, TOLERANCE),
        are_equal("README.md", scores_of(arguments, "hate"), TABLE, TABLE_TOLERANCE),
    ]
    return 0 if all(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
