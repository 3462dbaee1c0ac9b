# SPDX-License-Identifier: Apache-2.0
"""Samples with transformers' generate(): of one prompt, the work of `cpx-generate --samples`, or of many prompts in
batches, the work of PPO's rollouts. The first batch of many warms up and is not timed."""

import json
import time
from pathlib import Path

import torch

import hf_common


def generate(model, tokenizer, encoded, samples, new_tokens):
    """New tokens of the batch, and the seconds they took."""
    start = time.perf_counter()
    output = hf_common.sampled(model, tokenizer, encoded, samples, new_tokens)
    return output.numel(), time.perf_counter() - start


def generate_batches(model, tokenizer, arguments):
    """The same over all batches of prompts but the first; prompts are padded on the left."""
    lines = arguments.prompts.read_text(encoding="utf-8").splitlines()
    prompts = [json.loads(line)["prompt"] for line in lines]
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.eos_token
    runs = []
    for begin in range(0, len(prompts), arguments.samples):
        batch = prompts[begin : begin + arguments.samples]
        encoded = tokenizer(batch, return_tensors="pt", padding=True)
        runs.append(generate(model, tokenizer, encoded, 1, arguments.new_tokens))
    return sum(tokens for tokens, _ in runs[1:]), sum(seconds for _, seconds in runs[1:])


def main():
    parser = hf_common.parser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt")
    source.add_argument("--prompts", type=Path, help="JSONL with the key prompt; --samples of them are a batch")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--new-tokens", type=int, default=64)
    arguments = parser.parse_args()

    model, tokenizer = hf_common.load(arguments.model, arguments.threads)
    torch.manual_seed(1)
    if arguments.prompts:
        tokens, seconds = generate_batches(model, tokenizer, arguments)
    else:
        encoded = tokenizer(arguments.prompt, return_tensors="pt")
        tokens, seconds = generate(model, tokenizer, encoded, arguments.samples, arguments.new_tokens)
    hf_common.emit(tokens=tokens, seconds=seconds, peak_memory_mib=hf_common.peak_memory_mib())


if __name__ == "__main__":
    main()
