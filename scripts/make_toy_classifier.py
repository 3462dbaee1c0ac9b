#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a toy classifier, a RoBERTa folder that cpx-score reads: rude words against courteous ones.

    make_toy_classifier.py OUTPUT_FOLDER [SHARD ...]        (shards: data/demo/train/*.json)

It knows the words of the shards alone: the logarithm of how much more often a word stands in the rude texts than
in the courteous ones (naive Bayes) is the word's embedding; one layer takes the mean over a text. A demonstration
of the pipeline without a download; no measure of toxicity. Python's standard library alone.
"""

import argparse
import collections
import glob
import json
import math
import re
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
NUM_WORDS = 300  # those that tell most
HIDDEN = 8
POSITIONS = 514
SPACE = "\u0120"  # how byte-level BPE spells a blank
# Dimensions of the hidden state: a constant pair, so that LayerNorm keeps sizes, and the word's pair.
CONSTANT, WORD = 0, 2
ATTENTION_GAIN = 8.0  # of the texts' mean against the first token's own state
SHARPNESS = 1.0
LOGIT = 3.0


def read_texts(shards):
    rude, courteous = [], []
    for shard in shards:
        for record in json.loads(Path(shard).read_text(encoding="utf-8")):
            rude += record["paraphrases_toxic"]
            courteous += record["paraphrases"]
    return rude, courteous


def words_of(text):
    return re.findall(r"[a-z]+", text.lower())


def word_weights(rude, courteous):
    """Word -> log-odds with add-one smoothing, by the number of texts that hold it."""
    in_rude = collections.Counter(word for text in rude for word in set(words_of(text)))
    in_courteous = collections.Counter(word for text in courteous for word in set(words_of(text)))
    weights = {
        word: math.log((in_rude[word] + 1) / (len(rude) + 2))
        - math.log((in_courteous[word] + 1) / (len(courteous) + 2))
        for word in in_rude | in_courteous
    }
    chosen = sorted(weights, key=lambda word: (-abs(weights[word]), word))[:NUM_WORDS]
    return {word: weights[word] for word in chosen}


def byte_alphabet():
    """The characters by which byte-level BPE spells bytes, as GPT-2 numbers them."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + i) for i in range(len(hidden))]


class Merges:
    """Byte pairs in the order of their priority."""

    def __init__(self):
        self.ranks = {}

    def apply(self, symbols):
        symbols = list(symbols)
        while True:
            pairs = [(self.ranks[pair], i) for i, pair in enumerate(zip(symbols, symbols[1:])) if pair in self.ranks]
            if not pairs:
                return symbols
            _, i = min(pairs)
            symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]

    def learn(self, spelling):
        """Adds what is missing to make one token of it; words before it keep theirs."""
        symbols = self.apply(spelling)
        while len(symbols) > 1:
            self.ranks.setdefault((symbols[0], symbols[1]), len(self.ranks))
            symbols = self.apply(spelling)


def learn_words(weights):
    """The merges, and the weight of each token that is a word."""
    merges, token_weights = Merges(), {}
    for word, weight in weights.items():
        for form in (word, word.capitalize(), SPACE + word, SPACE + word.capitalize()):
            merges.learn(form)
            token_weights[form] = weight
    return merges, token_weights


def tensors_of(vocabulary, token_weights):
    """Name -> (shape, numbers)."""

    def matrix(rows, columns, entries=()):
        numbers = [0.0] * (rows * columns)
        for row, column, value in entries:
            numbers[row * columns + column] = value
        return ([rows, columns], numbers)

    def vector(size, value=0.0):
        return ([size], [value] * size)

    def identity(gain):
        return matrix(HIDDEN, HIDDEN, [(i, i, gain) for i in range(HIDDEN)])

    embeddings = []
    for token, row in vocabulary.items():
        weight = token_weights.get(token, 0.0)
        embeddings += [(row, CONSTANT, 1.0), (row, CONSTANT + 1, -1.0), (row, WORD, weight), (row, WORD + 1, -weight)]
    layer = "roberta.encoder.layer.0"
    linear = {
        f"{layer}.attention.self.query": matrix(HIDDEN, HIDDEN),  # every token looks at all alike
        f"{layer}.attention.self.key": matrix(HIDDEN, HIDDEN),
        f"{layer}.attention.self.value": identity(1.0),
        f"{layer}.attention.output.dense": identity(ATTENTION_GAIN),
        f"{layer}.intermediate.dense": matrix(HIDDEN, HIDDEN),
        f"{layer}.output.dense": matrix(HIDDEN, HIDDEN),
        "classifier.dense": matrix(HIDDEN, HIDDEN, [(0, WORD, SHARPNESS), (0, WORD + 1, -SHARPNESS)]),
        "classifier.out_proj": matrix(2, HIDDEN, [(0, 0, -LOGIT), (1, 0, LOGIT)]),
    }
    tensors = {
        "roberta.embeddings.word_embeddings.weight": matrix(len(vocabulary), HIDDEN, embeddings),
        "roberta.embeddings.position_embeddings.weight": matrix(POSITIONS, HIDDEN),
        "roberta.embeddings.token_type_embeddings.weight": matrix(1, HIDDEN),
    }
    for name, weight in linear.items():
        tensors[f"{name}.weight"] = weight
        tensors[f"{name}.bias"] = vector(weight[0][0])
    for norm in ("roberta.embeddings", f"{layer}.attention.output", f"{layer}.output"):
        tensors[f"{norm}.LayerNorm.weight"] = vector(HIDDEN, 1.0)
        tensors[f"{norm}.LayerNorm.bias"] = vector(HIDDEN)
    return tensors


def write_safetensors(path, tensors):
    header, blocks, offset = {}, [], 0
    for name, (shape, numbers) in tensors.items():
        block = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(block)]}
        blocks.append(block)
        offset += len(block)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blocks))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("shards", nargs="*")
    arguments = parser.parse_args()
    shards = arguments.shards or sorted(glob.glob(str(ROOT / "data/demo/train/*.json")))

    merges, token_weights = learn_words(word_weights(*read_texts(shards)))
    tokens = [*SPECIAL, *byte_alphabet(), *(a + b for a, b in merges.ranks), "<mask>"]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    config = {
        "architectures": ["RobertaForSequenceClassification"],
        "model_type": "roberta",
        "vocab_size": len(vocabulary),
        "hidden_size": HIDDEN,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 1,
        "pad_token_id": 1,
        "layer_norm_eps": 1e-5,
        "hidden_act": "gelu",
        "id2label": {"0": "courteous", "1": "rude"},
        "label2id": {"courteous": 0, "rude": 1},
    }
    arguments.output.mkdir(parents=True, exist_ok=True)

    def write(name, text):
        (arguments.output / name).write_text(text, encoding="utf-8")

    write("config.json", json.dumps(config, indent=2) + "\n")
    write("vocab.json", json.dumps(vocabulary, ensure_ascii=False) + "\n")
    write("merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges.ranks))
    write_safetensors(arguments.output / "model.safetensors", tensors_of(vocabulary, token_weights))
    print(f"{arguments.output}: a toy classifier of {len(token_weights) // 4} words from {len(shards)} shards")


if __name__ == "__main__":
    main()
