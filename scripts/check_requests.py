#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the texts that cpx-eval-choice scores with those of lm-evaluation-harness, byte for byte.

    check_requests.py FOLDER [--tool build/dev/bin/cpx-eval-choice]

FOLDER holds requests.jsonl, a document a line as the harness asks it ({task, num_fewshot, doc_id, requests, gold}; `requests` is a
list of [context, continuation], of [text] for rolling perplexity), and beside it the data: TASK.jsonl and, for examples,
TASK_fewshot.jsonl (MMLU: mmlu.jsonl with all subjects, mmlu_dev.jsonl). Ends with 1 where a document differs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def file_of(folder, task, suffix=""):
    name = "mmlu" if task.startswith("mmlu_") else task
    return folder / f"{name}{suffix}.jsonl"


def dump(tool, folder, task, num_fewshot):
    """Returns what cpx-eval-choice asks, by the number of the document."""
    command = [tool, "--task", f"{task}={file_of(folder, task)}"]
    if num_fewshot > 0:
        suffix = "_dev" if task.startswith("mmlu_") else "_fewshot"
        command += ["--shots", str(num_fewshot), "--shots-from", f"{task}={file_of(folder, task, suffix)}"]
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "requests.jsonl"
        subprocess.run([*command, "--dump-requests", str(output)], check=True)
        return {line["doc_id"]: line for line in read_lines(output)}


def difference(expected, got):
    """The first place where two requests differ, or an empty text."""
    if got is None:
        return "the document is missing"
    for key in ("task", "num_fewshot", "gold"):
        if expected.get(key) != got.get(key):
            return f"{key}: got {got.get(key)!r}, expected {expected.get(key)!r}"
    if len(expected["requests"]) != len(got["requests"]):
        return f"got {len(got['requests'])} requests, expected {len(expected['requests'])}"
    for number, (theirs, ours) in enumerate(zip(expected["requests"], got["requests"])):
        for part, (their, our) in enumerate(zip(theirs, ours)):
            if their != our:
                at = next((i for i, (a, b) in enumerate(zip(their, our)) if a != b), min(len(their), len(our)))
                return f"request {number}, part {part}, at {at}: got {our[at:at + 40]!r}, expected {their[at:at + 40]!r}"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tool", default="build/dev/bin/cpx-eval-choice")
    arguments = parser.parse_args()
    expected = read_lines(arguments.folder / "requests.jsonl")
    dumps = {}
    num_faults = 0
    for line in expected:
        key = (line["task"], line["num_fewshot"])
        if key not in dumps:
            dumps[key] = dump(arguments.tool, arguments.folder, *key)
        fault = difference(line, dumps[key].get(line["doc_id"]))
        if fault:
            num_faults += 1
            print(f"{line['task']}, {line['num_fewshot']} shots, document {line['doc_id']}: {fault}")
    print(f"{len(expected) - num_faults} of {len(expected)} documents have the harness's requests")
    return 1 if num_faults else 0


if __name__ == "__main__":
    sys.exit(main())
