#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the demo data and the everyday sentences; prints one line for each fault, then exits 1.

    check_demo_data.py [REPOSITORY_ROOT]
"""

import json
import os
import re
import sys
from pathlib import Path

SHARD_FOLDERS = ("train", "heldout")
RECORD_KEYS = {"input", "group", "id", "paraphrases", "paraphrases_toxic"}
ROLE_KEYS = ("paraphrases", "paraphrases_toxic")
MIN_TOPICS = 4
MIN_GROUPS = 40
MIN_GROUPS_A_TOPIC = 10
MIN_TEXTS_A_ROLE = 6
INPUT_WORDS = (4, 25)
TEXT_WORDS = (8, 25)
# Courteous and rude texts of a group must not be told apart by their length.
MAX_LENGTH_RATIO = 1.35
SENTENCE_FILES = (
    ("data/demo/everyday.txt", 20, (8, 25)),
    ("benchmarks/data/everyday50.txt", 50, (10, 25)),
)


class Report:
    def __init__(self):
        self.faults = []
        self.seen = {}

    def fault(self, place, text):
        self.faults.append(f"[{place}] {text}")

    def check_text(self, place, text, limits):
        """Returns the number of words, or 0 when `text` is not a usable sentence."""
        if not isinstance(text, str) or not text.strip():
            self.fault(place, f"text: got {text!r}, expected a sentence.")
            return 0
        if text != text.strip() or "  " in text:
            self.fault(place, "text: got blanks at an end or two in a row, expected single blanks.")
        strange = sorted({c for c in text if not " " <= c <= "~" or c == "\\"})
        if strange:
            listed = " ".join(ascii(c) for c in strange)
            self.fault(place, f"text: got {listed}, expected printable ASCII without backslash.")
        if not re.match(r"[A-Z].*[.?!]$", text):
            self.fault(place, f"text: got {text!r}, expected a capital first and . ? or ! last.")
        words = len(text.split())
        if not limits[0] <= words <= limits[1]:
            self.fault(place, f"words: got {words}, expected {limits[0]} to {limits[1]}: {text!r}")
        same = " ".join(re.findall(r"[a-z0-9]+", text.lower()))
        if same in self.seen:
            self.fault(place, f"text: got {text!r} again, first at [{self.seen[same]}].")
        self.seen.setdefault(same, place)
        return words


def read_utf8(path, report):
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        report.fault(path, f"file: cannot be read: {error.strerror}.")
    except UnicodeDecodeError as error:
        report.fault(path, f"file: not UTF-8 at byte {error.start}.")
    return None


def object_without_repeated_keys(pairs):
    keys = [key for key, _ in pairs]
    repeated = sorted({key for key in keys if keys.count(key) > 1})
    if repeated:
        raise ValueError(f"key given twice: {', '.join(repeated)}")
    return dict(pairs)


def check_record(place, record, topic, ids, report):
    if not isinstance(record, dict) or set(record) != RECORD_KEYS:
        got = sorted(record) if isinstance(record, dict) else type(record).__name__
        report.fault(place, f"record: got {got}, expected the keys {sorted(RECORD_KEYS)}.")
        return
    if record["group"] != topic:
        report.fault(place, f"group: got {record['group']!r}, expected the file's name {topic!r}.")
    identity = record["id"]
    if not isinstance(identity, str) or not re.fullmatch(re.escape(topic) + r"-[1-9]\d*", identity):
        report.fault(place, f"id: got {identity!r}, expected {topic}-NUMBER.")
    elif identity in ids:
        report.fault(place, f"id: got {identity!r} again, first at [{ids[identity]}].")
    else:
        ids[identity] = place
    report.check_text(f"{place} input", record["input"], INPUT_WORDS)

    means = []
    for key in ROLE_KEYS:
        texts = record[key]
        if not isinstance(texts, list) or len(texts) < MIN_TEXTS_A_ROLE:
            got = len(texts) if isinstance(texts, list) else type(texts).__name__
            report.fault(place, f"{key}: got {got}, expected at least {MIN_TEXTS_A_ROLE} texts.")
            continue
        words = [
            report.check_text(f"{place} {key}[{i}]", text, TEXT_WORDS)
            for i, text in enumerate(texts)
        ]
        means.append(sum(words) / len(words))
    if len(means) == 2 and min(means) > 0 and max(means) / min(means) > MAX_LENGTH_RATIO:
        report.fault(
            place,
            f"mean words: got {means[0]:.1f} courteous and {means[1]:.1f} rude, "
            f"expected a ratio of at most {MAX_LENGTH_RATIO}.",
        )


def check_shard(path, ids, report):
    """Returns the number of records."""
    text = read_utf8(path, report)
    if text is None:
        return 0
    try:
        records = json.loads(text, object_pairs_hook=object_without_repeated_keys)
    except ValueError as error:
        report.fault(path, f"JSON: {error}.")
        return 0
    if not isinstance(records, list):
        report.fault(path, f"JSON: got {type(records).__name__}, expected a list of records.")
        return 0
    if len(records) < MIN_GROUPS_A_TOPIC:
        report.fault(path, f"records: got {len(records)}, expected at least {MIN_GROUPS_A_TOPIC}.")
    for index, record in enumerate(records):
        check_record(f"{path} record {index}", record, path.stem, ids, report)
    return len(records)


def check_shards(folder, report):
    """Returns the number of records in each topic."""
    counts = {}
    ids = {}
    for part in SHARD_FOLDERS:
        paths = sorted((folder / part).glob("*.json"))
        if not paths:
            report.fault(folder / part, "shards: got none, expected at least one *.json.")
        for path in paths:
            if path.stem in counts:
                report.fault(path, f"topic: {path.stem!r} is in more than one folder.")
                continue
            counts[path.stem] = check_shard(path, ids, report)
    for stray in sorted(folder.glob("*.json")):
        report.fault(stray, f"shard: expected inside {' or '.join(SHARD_FOLDERS)}.")
    if len(counts) < MIN_TOPICS:
        report.fault(folder, f"topics: got {len(counts)}, expected at least {MIN_TOPICS}.")
    groups = sum(counts.values())
    if groups < MIN_GROUPS:
        report.fault(folder, f"groups: got {groups}, expected at least {MIN_GROUPS}.")
    return counts


def check_sentences(path, count, limits, report):
    text = read_utf8(path, report)
    if text is None:
        return
    if not text.endswith("\n"):
        report.fault(path, "file: expected a line feed at the end.")
    lines = text.removesuffix("\n").split("\n")
    if len(lines) != count:
        report.fault(path, f"lines: got {len(lines)}, expected {count}.")
    for number, line in enumerate(lines, start=1):
        report.check_text(f"{path}:{number}", line, limits)


def main(arguments):
    if len(arguments) > 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    if not root.is_dir():
        print(f"[{root}] folder: not found.", file=sys.stderr)
        return 2
    os.chdir(root)  # faults then name files as the repository does
    report = Report()
    counts = check_shards(Path("data/demo"), report)
    for name, count, limits in SENTENCE_FILES:
        check_sentences(Path(name), count, limits, report)
    for line in report.faults:
        print(line, file=sys.stderr)
    if report.faults:
        return 1
    topics = ", ".join(f"{topic} {count}" for topic, count in counts.items())
    print(f"demo data: {sum(counts.values())} groups ({topics}), {len(report.seen)} texts, no fault")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
