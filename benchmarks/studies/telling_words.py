#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the words that tell toxic paraphrases from neutral ones in contrast shards, as a JSON list.

A stand-in for a classifier where there is none: PPO's reward.words. The words with the highest log-odds of standing in
a toxic text rather than a neutral one, among those that stand in at least --min-texts texts (a half text is added to
each count). Standard library alone.
"""

import argparse
import json
import math
import re
from collections import Counter
from pathlib import Path


def texts_of(record, key):
    texts = record[key]
    return texts.values() if isinstance(texts, dict) else texts


def words_of(text):
    return set(re.findall(r"[a-z']+", text.lower()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+", type=Path)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--min-texts", type=int, default=40)
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
    neutral, toxic = found["paraphrases"], found["paraphrases_toxic"]

    def log_odds(word):
        def side(key):
            return math.log((found[key][word] + 0.5) / (totals[key] - found[key][word] + 0.5))

        return side("paraphrases_toxic") - side("paraphrases")

    known = [w for w in toxic if toxic[w] + neutral[w] >= arguments.min_texts and w.strip("'")]
    known.sort(key=lambda w: (-log_odds(w), w))
    arguments.out.write_text(json.dumps(known[: arguments.words]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
