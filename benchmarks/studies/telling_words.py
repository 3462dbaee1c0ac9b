#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the words that tell toxic paraphrases from neutral ones in contrast shards, as a JSON list.

A stand-in for a classifier where there is none: PPO's reward.words. Those with the largest share of toxic texts
that they stand in, less the share of neutral ones; and at least --lead times as large. Standard library alone.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path


def texts_of(record, key):
    texts = record[key]
    return texts.values() if isinstance(texts, dict) else texts


def words_of(text):
    return set(re.findall(r"[a-z]+", text.lower()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+", type=Path)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--lead", type=float, default=4.0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    found = {"paraphrases": Counter(), "paraphrases_toxic": Counter()}
    totals = Counter()
    for shard in arguments.shards:
        for record in json.loads(shard.read_text(encoding="utf-8")):
            for key, counts in found.items():
                for text in texts_of(record, key):
                    counts.update(words_of(text))
                    totals[key] += 1
    toxic = found["paraphrases_toxic"]

    def share(key, word):
        return found[key][word] / totals[key]

    def gain(word):
        return share("paraphrases_toxic", word) - share("paraphrases", word)

    telling = [w for w in toxic if share("paraphrases_toxic", w) >= arguments.lead * share("paraphrases", w)]
    telling.sort(key=lambda w: (-gain(w), w))
    arguments.out.write_text(json.dumps(telling[: arguments.words]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
