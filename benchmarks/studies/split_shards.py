#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Splits contrast shards for the studies, by text: no text that is held out is trained on.

A text of the SafeNLP shards stands in some twenty records of its group, and is the input of another: to hold out
records holds out nothing. So texts are held out: all of one target group, and some of each other group, neutral and
toxic ones, drawn by their hash. Each record that is trained on loses those that it has; a record whose input is one,
or which keeps too few, is left out. Texts are compared without case and blanks.

Writes into OUT: train/*.json, group.json (records of the held-out group's texts, each text once) and records.json (the
same of the other groups), and tells what is left. Standard library alone.
"""

import argparse
import hashlib
import json
from pathlib import Path

SIDES = ("paraphrases", "paraphrases_toxic")


def key_of(text):
    """Equal for texts that differ in case and blanks alone."""
    return " ".join(text.replace("\\\\", "\\").replace("\\n", "\n").casefold().split())


def texts_of(records, side):
    """Each text of a side once, in the order of its hash."""
    texts = {}
    for record in records:
        for text in record[side]:
            texts.setdefault(key_of(text), text)
    return [texts[key] for key in sorted(texts, key=lambda key: hashlib.sha256(key.encode()).hexdigest())]


def without(record, keys):
    """The record without the texts of `keys`, nor what stands beside them in the parallel lists."""
    left = dict(record)
    for side in SIDES:
        texts = record[side]
        if isinstance(texts, dict):
            left[side] = {text: score for text, score in texts.items() if key_of(text) not in keys}
            continue
        kept = [place for place, text in enumerate(texts) if key_of(text) not in keys]
        for name, value in record.items():
            is_parallel = name == side or (name.startswith(f"{side}_") and name not in SIDES)
            if is_parallel and isinstance(value, list) and len(value) == len(texts):
                left[name] = [value[place] for place in kept]
    return left


def held_out_records(name, group, sides, count):
    """Records of `count` texts a side, each text once; what does not fill a record is left over."""
    number = min(len(texts) for texts in sides) // count
    return [
        {"input": "", "group": group, "id": f"{name}-held-out-{i + 1}",
         **{side: texts[i * count : (i + 1) * count] for side, texts in zip(SIDES, sides)}}
        for i in range(number)
    ]  # fmt: skip


def split(shards, held_out, num_texts, texts_a_record, min_texts):
    """`shards`: name -> records. Returns the shards to train on, the held-out group's records, and the others'."""
    group, others, keys = [], [], set()
    for name in sorted(shards, key=lambda name: name != held_out):  # the held-out group first: it keeps all its texts
        records = shards[name]
        sides = [[text for text in texts_of(records, side) if key_of(text) not in keys] for side in SIDES]
        if name != held_out:
            sides = [texts[:num_texts] for texts in sides]
        made = held_out_records(name, records[0]["group"], sides, texts_a_record)
        (group if name == held_out else others).extend(made)
        keys |= {key_of(text) for texts in sides for text in texts}
    train = {}
    for name, records in shards.items():
        if name == held_out:
            continue
        left = [without(record, keys) for record in records if key_of(record["input"]) not in keys]
        train[name] = [record for record in left if min(len(record[side]) for side in SIDES) >= min_texts]
    return train, group, others


def summary(shards, train, group, others, held_out):
    """What is left of the data, a line each."""
    before = [record for name, records in shards.items() if name != held_out for record in records]
    after = [record for records in train.values() for record in records]
    lines = [f"records to train on: {len(after)} of {len(before)}"]
    for side in SIDES:
        places = [sum(len(record[side]) for record in records) for records in (after, before)]
        distinct = [len(texts_of(records, side)) for records in (after, before)]
        lines.append(f"{side}: {places[0]} of {places[1]} places, {distinct[0]} of {distinct[1]} different texts")
    for what, records in (("held-out group", group), ("other groups", others)):
        lines.append(f"{what}: {len(records)} records of {sum(len(r[SIDES[0]]) for r in records)} + "
                     f"{sum(len(r[SIDES[1]]) for r in records)} texts, each once")  # fmt: skip
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+", type=Path)
    parser.add_argument("--held-out", required=True, help="name of the shard of the held-out group, without .json")
    parser.add_argument("--held-out-texts", type=int, default=12, help="of each side of each other group (12)")
    parser.add_argument("--texts", type=int, default=4, help="of each side in a held-out record (4)")
    parser.add_argument("--min-texts", type=int, default=5, help="of each side in a record that is trained on (5)")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    shards = {shard.stem: json.loads(shard.read_text(encoding="utf-8")) for shard in sorted(arguments.shards)}
    if arguments.held_out not in shards:
        parser.error(f"--held-out: got {arguments.held_out}, expected one of {', '.join(shards)}")
    train, group, others = split(
        shards, arguments.held_out, arguments.held_out_texts, arguments.texts, arguments.min_texts
    )
    (arguments.out / "train").mkdir(parents=True, exist_ok=True)
    for file in (arguments.out / "train").glob("*.json"):
        file.unlink()  # of an earlier split
    for name, records in train.items():
        (arguments.out / "train" / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")
    (arguments.out / "group.json").write_text(json.dumps(group), encoding="utf-8")
    (arguments.out / "records.json").write_text(json.dumps(others), encoding="utf-8")
    print(*summary(shards, train, group, others, arguments.held_out), sep="\n")


if __name__ == "__main__":
    main()
