# SPDX-License-Identifier: Apache-2.0
"""One text of a GGUF with llama.cpp (llama-cpp-python): the work of `cpx-generate --weights auto`."""

import argparse
import json
import resource
import time

from llama_cpp import Llama


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--new-tokens", type=int, default=64)
    arguments = parser.parse_args()

    model = Llama(
        arguments.model,
        n_ctx=2048,
        n_batch=512,
        n_threads=arguments.threads,
        n_threads_batch=arguments.threads,
        verbose=False,
    )
    ids = model.tokenize(arguments.prompt.encode(), add_bos=False, special=False)
    model.eval(ids[:8])  # warms up
    model.reset()
    start = time.perf_counter()
    model.eval(ids)
    prompt_seconds = time.perf_counter() - start
    for _ in range(arguments.new_tokens):
        model.eval([model.sample(temp=0.0)])
    print(
        json.dumps(
            {
                "prompt_tokens": len(ids),
                "prompt_seconds": prompt_seconds,
                "tokens": arguments.new_tokens,
                "seconds": time.perf_counter() - start,
                "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
