# SPDX-License-Identifier: Apache-2.0
"""Samples of one prompt with transformers' generate(): the work of `cpx-generate --samples`."""

import time

import torch

import hf_common


def main():
    parser = hf_common.parser(__doc__)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--new-tokens", type=int, default=64)
    arguments = parser.parse_args()

    model, tokenizer = hf_common.load(arguments.model, arguments.threads)
    torch.manual_seed(1)
    start = time.perf_counter()
    encoded = tokenizer(arguments.prompt, return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(
            **encoded,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            num_return_sequences=arguments.samples,
            min_new_tokens=arguments.new_tokens,
            max_new_tokens=arguments.new_tokens,
            pad_token_id=tokenizer.eos_token_id,
        )
    seconds = time.perf_counter() - start
    hf_common.emit(
        tokens=output[:, encoded.input_ids.shape[1] :].numel(),
        seconds=seconds,
        peak_memory_mib=hf_common.peak_memory_mib(),
    )


if __name__ == "__main__":
    main()
