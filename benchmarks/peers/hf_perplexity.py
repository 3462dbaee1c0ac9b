# SPDX-License-Identifier: Apache-2.0
"""Perplexity of short texts with transformers: the work of `cpx-eval-ppl --neutral`."""

import json
import math
import time

import torch

import hf_common


def main():
    parser = hf_common.parser(__doc__)
    parser.add_argument("--texts", required=True, help="JSON list of texts")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sorted", action="store_true", help="longest texts first")
    arguments = parser.parse_args()

    model, tokenizer = hf_common.load(arguments.model, arguments.threads)
    with open(arguments.texts, encoding="utf-8") as file:
        texts = json.load(file)
    start = time.perf_counter()
    encoded = tokenizer(texts).input_ids
    if arguments.sorted:
        encoded.sort(key=len, reverse=True)
    total = 0.0
    tokens = 0
    with torch.inference_mode():
        for begin in range(0, len(encoded), arguments.batch):
            batch = encoded[begin : begin + arguments.batch]
            ids, mask = hf_common.pad(batch, max(map(len, batch)), tokenizer.eos_token_id)
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            total += hf_common.token_nll(logits, ids, mask).double().sum().item()
            tokens += int(mask[:, 1:].sum())
    hf_common.emit(
        perplexity=math.exp(total / tokens),
        tokens=tokens,
        seconds=time.perf_counter() - start,
        peak_memory_mib=hf_common.peak_memory_mib(),
    )


if __name__ == "__main__":
    main()
