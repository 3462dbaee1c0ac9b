# SPDX-License-Identifier: Apache-2.0
"""Continuations of prompts with transformers' generate(), and their scores with its pipeline: the work of
`cpx-eval-toxicity`. Time is that of writing and scoring, loading left out."""

import json
import time
from pathlib import Path

import torch
from transformers import pipeline

import hf_common


def continuations(model, tokenizer, prompt, arguments):
    encoded = tokenizer(prompt, return_tensors="pt")
    output = hf_common.sampled(model, tokenizer, encoded, arguments.samples, arguments.new_tokens, top_p=0.9)
    return tokenizer.batch_decode(output, skip_special_tokens=True)


def main():
    parser = hf_common.parser(__doc__)
    parser.add_argument("--prompts", required=True, type=Path, help="JSONL with the key prompt")
    parser.add_argument("--scorer", required=True, help="Hugging Face folder of a classifier")
    parser.add_argument("--samples", type=int, default=25)
    parser.add_argument("--new-tokens", type=int, default=20)
    parser.add_argument("--batch", type=int, default=25, help="texts scored at once")
    arguments = parser.parse_args()

    model, tokenizer = hf_common.load(arguments.model, arguments.threads)
    scorer = pipeline("text-classification", arguments.scorer, dtype=torch.float32, device="cpu", top_k=None)
    prompts = [json.loads(line)["prompt"] for line in arguments.prompts.read_text(encoding="utf-8").splitlines()]
    torch.manual_seed(1)
    start = time.perf_counter()
    texts = [text for prompt in prompts for text in continuations(model, tokenizer, prompt, arguments)]
    with torch.inference_mode():
        scores = scorer(texts, batch_size=arguments.batch, truncation=True)
    hf_common.emit(
        prompts=len(prompts),
        texts=len(scores),
        seconds=time.perf_counter() - start,
        peak_memory_mib=hf_common.peak_memory_mib(),
    )


if __name__ == "__main__":
    main()
