# SPDX-License-Identifier: Apache-2.0
"""What both sides read: the exported model and adapters, shards, texts made from shards."""

import glob
import json
from pathlib import Path

from . import processes

NUM_SHORT_TEXTS = 312
NUM_GROWTH_RECORDS = 200
# More than a token has, so that a long text is cut to the length that is asked for.
CHARACTERS_A_TOKEN = 8


def unescape(text):
    """As cpx and the published code read a text."""
    return text.replace("\\\\", "\\").replace("\\n", "\n")


def expand(patterns, root):
    """The shards in the order in which cpx reads them."""
    shards = []
    for pattern in patterns:
        found = sorted(glob.glob(pattern, root_dir=root))
        if not found:
            raise processes.BenchmarkError(f"--data {pattern}: no such file.")
        shards += found
    return shards


def read_records(shards, root, num_texts):
    """The records that have `num_texts` texts of each kind."""
    records = [r for shard in shards for r in json.loads((Path(root) / shard).read_text(encoding="utf-8"))]
    return [r for r in records if min(len(r["paraphrases"]), len(r["paraphrases_toxic"])) >= num_texts]


def export(places, gguf, root):
    """Makes the model's folder and the starting adapters, once."""
    if (Path(root) / places.inputs / "adapter-fresh" / "adapter_config.json").exists():
        return
    script = "benchmarks/peers/export_model.py"
    processes.run([places.python, script, "--gguf", gguf, "--out", places.inputs], root)


def preference_pairs(records, count):
    """JSON lines of pairs: of each record the first neutral text against the first toxic one, then the second ones."""
    prompt = "### Input: ```{}```\n ### Output: "
    sides = [(r, list(r["paraphrases"]), list(r["paraphrases_toxic"])) for r in records if r["input"]]
    pairs = []
    for turn in range(max(len(texts_of) for _, *both in sides for texts_of in both)):
        pairs += [
            {"prompt": prompt.format(unescape(r["input"])), "chosen": unescape(neutral[turn]), "rejected": unescape(toxic[turn])}
            for r, neutral, toxic in sides
            if turn < min(len(neutral), len(toxic))
        ]
    if len(pairs) < count:
        raise processes.BenchmarkError(f"--data: got {len(pairs)} pairs, expected {count}.")
    return "".join(json.dumps(pair) + "\n" for pair in pairs[:count])


def rollout_prompts(records, count, times=1):
    """JSON lines of prompts: the records' inputs, or first neutral texts where they have none, again where too few.

    Each stands `times` times in a row.
    """
    texts = [unescape(r["input"] or list(r["paraphrases"])[0]) for r in records]
    return "".join(json.dumps({"prompt": texts[i // times % len(texts)]}) + "\n" for i in range(count))


def pairs_of_samples(samples):
    """JSON lines of pairs: the two responses after each prompt, which stands twice in a row."""
    pairs = zip(samples[::2], samples[1::2])
    lines = [{"prompt": a["prompt"], "chosen": a["response"], "rejected": b["response"]} for a, b in pairs]
    if any(a["prompt"] != b["prompt"] for a, b in zip(samples[::2], samples[1::2])):
        raise processes.BenchmarkError("PPO's samples: two after each prompt were expected.")
    return "".join(json.dumps(line) + "\n" for line in lines)


def short_texts(records, count=NUM_SHORT_TEXTS):
    """A neutral and a toxic text of each record, then a second one of each, until there are `count`."""
    texts = []
    sides = [(list(r["paraphrases"]), list(r["paraphrases_toxic"])) for r in records]
    for turn in range(max(len(texts_of) for pair in sides for texts_of in pair)):
        texts += [unescape(side[turn]) for pair in sides for side in pair if turn < len(side)]
    return texts[:count]


def record(number, neutral, toxic):
    return {"input": "", "group": "benchmark", "id": str(number), "paraphrases": neutral, "paraphrases_toxic": toxic}


def growth_records(records, num_texts, count=NUM_GROWTH_RECORDS):
    """`count` records of `num_texts` texts of each kind: the given ones, again where they do not suffice."""
    chosen = [records[i % len(records)] for i in range(count)]
    sides = [(list(r["paraphrases"])[:num_texts], list(r["paraphrases_toxic"])[:num_texts]) for r in chosen]
    return [record(number, *pair) for number, pair in enumerate(sides)]


def long_records(records, num_tokens, count):
    """`count` records of one text of each kind, joined from short ones, with more than `num_tokens` tokens."""
    texts = short_texts(records, count=10**6)
    made = []
    for number in range(2 * count):
        text, place = "", number * len(texts) // (2 * count)
        while len(text) < CHARACTERS_A_TOKEN * num_tokens:
            text += texts[place % len(texts)] + " "
            place += 1
        made.append([text])
    return [record(number, made[2 * number], made[2 * number + 1]) for number in range(count)]


def write(content, places, name, root):
    """Writes JSON into the scratch folder."""
    write_text(json.dumps(content), places, name, root)


def write_text(text, places, name, root):
    folder = Path(root) / places.scratch
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
