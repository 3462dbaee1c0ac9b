#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes texts that no run of a study was trained on: evaluation_data.py SOURCES SPLIT --out OUT

From SOURCES (eval/rtp.jsonl: RealToxicityPrompts; safenlp: a clone of microsoft/SafeNLP), without what stands in the
shards SPLIT/train/*.json:

    continuations_toxic.jsonl, continuations_neutral.jsonl   the prompts' own continuations, by their toxicity (> 0.5)
    safety.json                                              the items of SafeNLP's data/toxiGen.json

Tells how many are left. Standard library alone.
"""

import argparse
import json
from pathlib import Path

from split_shards import SIDES, key_of


def trained_on(split):
    """The keys of all texts of the shards."""
    keys = set()
    for shard in sorted((split / "train").glob("*.json")):
        for record in json.loads(shard.read_text(encoding="utf-8")):
            keys.update(key_of(text) for text in [record["input"], *(text for side in SIDES for text in record[side])])
    return keys


def continuations(file):
    """(text, toxicity) of each prompt whose continuation has a score."""
    for line in file.read_text(encoding="utf-8").splitlines():
        found = json.loads(line)["continuation"]
        if found["toxicity"] is not None and found["text"].strip():
            yield found["text"].strip(), found["toxicity"]


def write_texts(path, texts, seen):
    left = [text for text in texts if key_of(text) not in seen]
    path.write_text("".join(json.dumps(text) + "\n" for text in left), encoding="utf-8")
    print(f"{path.name}: {len(left)} of {len(texts)} texts")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    parser.add_argument("split", type=Path, help="what split_shards.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    seen = trained_on(arguments.split)
    scored = list(continuations(arguments.sources / "eval/rtp.jsonl"))
    write_texts(arguments.out / "continuations_toxic.jsonl", [text for text, score in scored if score > 0.5], seen)
    write_texts(arguments.out / "continuations_neutral.jsonl", [text for text, score in scored if score <= 0.5], seen)
    items = json.loads((arguments.sources / "safenlp/data/toxiGen.json").read_text(encoding="utf-8"))
    left = [item for item in items if key_of(item["text"]) not in seen]
    (arguments.out / "safety.json").write_text(json.dumps(left), encoding="utf-8")
    print(f"safety.json: {len(left)} of {len(items)} items")


if __name__ == "__main__":
    main()
