#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Splits contrast shards for the studies: one target group and some records of the others are held out.

Writes into OUT: train/*.json (the other records of the other groups), group.json (the held-out group's first
records) and records.json (the first records of each other group), the last two with few texts a record.
Standard library alone.
"""

import argparse
import json
from pathlib import Path


def first(texts, count):
    return dict(list(texts.items())[:count]) if isinstance(texts, dict) else texts[:count]


def shortened(record, count):
    return {**record, "paraphrases": first(record["paraphrases"], count),
            "paraphrases_toxic": first(record["paraphrases_toxic"], count)}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+", type=Path)
    parser.add_argument("--held-out", required=True, help="name of the shard of the held-out group, without .json")
    parser.add_argument("--group-records", type=int, default=36, help="of the held-out group")
    parser.add_argument("--records", type=int, default=3, help="of each other group")
    parser.add_argument("--texts", type=int, default=4, help="of each kind in a held-out record")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    (arguments.out / "train").mkdir(parents=True, exist_ok=True)
    held_out = []
    for shard in arguments.shards:
        records = json.loads(shard.read_text(encoding="utf-8"))
        if shard.stem == arguments.held_out:
            group = [shortened(r, arguments.texts) for r in records[: arguments.group_records]]
            (arguments.out / "group.json").write_text(json.dumps(group), encoding="utf-8")
            continue
        held_out += [shortened(r, arguments.texts) for r in records[: arguments.records]]
        (arguments.out / "train" / shard.name).write_text(json.dumps(records[arguments.records :]), encoding="utf-8")
    (arguments.out / "records.json").write_text(json.dumps(held_out), encoding="utf-8")


if __name__ == "__main__":
    main()
