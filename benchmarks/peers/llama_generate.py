# SPDX-License-Identifier: Apache-2.0
"""One text of a GGUF with llama.cpp (the wheel xllamacpp): the work of `cpx-generate --weights auto`."""

import argparse
import json
import resource

import xllamacpp


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--new-tokens", type=int, default=64)
    arguments = parser.parse_args()

    options = xllamacpp.CommonParams()
    options.model.path = arguments.model
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = arguments.threads
    options.n_ctx = 2048
    options.n_parallel = 1
    options.warmup = True
    server = xllamacpp.Server(options)
    result = server.handle_completions(
        {
            "prompt": arguments.prompt,
            "n_predict": arguments.new_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "cache_prompt": False,
        }
    )
    timings = result["timings"]
    print(
        json.dumps(
            {
                "prompt_tokens": timings["prompt_n"],
                "prompt_seconds": timings["prompt_ms"] / 1000,
                "tokens": timings["predicted_n"],
                "seconds": (timings["prompt_ms"] + timings["predicted_ms"]) / 1000,
                "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "system": xllamacpp.get_system_info(),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
