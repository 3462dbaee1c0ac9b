#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""That benchmarks/studies/split_shards.py trains on no text that it holds out, on made-up shards."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/studies/split_shards.py"
SIDES = ("paraphrases", "paraphrases_toxic")


def shard(group, neutral, toxic, size=6):
    """A record with each neutral text as its input, and `size` texts a side from there on, going round."""
    records = []
    for i, text in enumerate(neutral):
        record = {"input": text, "group": group, "id": i}
        for side, texts in zip(SIDES, (neutral, toxic)):
            record[side] = [texts[(i + k) % len(texts)] for k in range(size)]
            record[f"{side}_toxigenscore"] = [texts.index(text) / 100 for text in record[side]]
        records.append(record)
    return records


def texts_in(records, with_inputs=False):
    texts = {text for record in records for side in SIDES for text in record[side]}
    return texts | {record["input"] for record in records} if with_inputs else texts


class Split(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.shards = {
            name: shard(name, [f"{name} n{i}" for i in range(20)], [f"{name} t{i}" for i in range(18)])
            for name in ("bus", "tea", "cat")
        }
        self.shards["tea"][0]["paraphrases"][1] = "CAT  n3"  # of the held-out group, but for case and blanks
        for name, records in self.shards.items():
            (self.root / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")

    def split(self, *options):
        shards = [str(self.root / f"{name}.json") for name in self.shards]
        command = [sys.executable, SCRIPT, *shards, "--held-out", "cat", "--out", self.root / "out", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def read(self, name):
        return json.loads((self.root / "out" / name).read_text(encoding="utf-8"))

    def test_no_text_that_is_held_out_is_trained_on(self):
        finished = self.split("--held-out-texts", "4", "--texts", "2", "--min-texts", "3")
        self.assertEqual(finished.returncode, 0, finished.stderr)
        train = self.read("train/bus.json") + self.read("train/tea.json")
        group, others = self.read("group.json"), self.read("records.json")
        self.assertFalse((self.root / "out/train/cat.json").exists())
        of_cat = texts_in(self.shards["cat"])
        self.assertLessEqual(texts_in(group), of_cat)
        self.assertEqual(len(texts_in(group)), 2 * 18)
        self.assertEqual(texts_in(train, with_inputs=True) & of_cat, set())
        self.assertEqual(len(texts_in(others)), 2 * 2 * 4)
        for held_out in (group, others):
            self.assertEqual(texts_in(train, with_inputs=True) & texts_in(held_out), set())
        self.assertNotIn("CAT  n3", texts_in(train))
        self.assertGreater(len(train), 20)

    def test_held_out_texts_stand_once(self):
        self.split("--held-out-texts", "4", "--texts", "2", "--min-texts", "3")
        for name in ("group.json", "records.json"):
            texts = [text for record in self.read(name) for side in SIDES for text in record[side]]
            self.assertEqual(len(texts), len(set(texts)))

    def test_scores_stay_beside_their_texts(self):
        self.split("--held-out-texts", "4", "--texts", "2", "--min-texts", "3")
        for record in self.read("train/bus.json"):
            for side in SIDES:
                expected = [int(text.split()[-1][1:]) / 100 for text in record[side]]
                self.assertEqual(record[f"{side}_toxigenscore"], expected)

    def test_it_tells_what_is_left(self):
        finished = self.split("--held-out-texts", "4", "--texts", "2", "--min-texts", "1")
        # Of each group's 20 records those with one of the four neutral texts as input are left out.
        self.assertEqual(finished.stdout.splitlines()[0], "records to train on: 32 of 40")
        self.assertRegex(finished.stdout.splitlines()[1], r"^paraphrases: \d+ of 240 places, 32 of 41 different texts$")
        self.assertEqual(
            finished.stdout.splitlines()[3:],
            [
                "held-out group: 9 records of 18 + 18 texts, each once",
                "other groups: 4 records of 8 + 8 texts, each once",
            ],
        )

    def test_an_unknown_group_is_one_line(self):
        finished = self.split("--held-out", "dog")
        self.assertEqual(finished.returncode, 2)
        self.assertIn("--held-out: got dog, expected one of bus, cat, tea", finished.stderr)


if __name__ == "__main__":
    unittest.main()
