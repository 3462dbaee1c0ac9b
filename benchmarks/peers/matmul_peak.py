# SPDX-License-Identifier: Apache-2.0
"""The machine's peak: the best torch.mm of [480, 4096] and [4096, 4096] in two seconds, in GFLOP/s."""

import argparse
import time

import torch

import hf_common

SECONDS = 2.0  # a machine may take a while to reach its speed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = getattr(torch, arguments.dtype)
    a = torch.randn(480, 4096).to(dtype)
    b = torch.randn(4096, 4096).to(dtype)
    torch.mm(a, b)
    best = 0.0
    end = time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        torch.mm(a, b)
        best = max(best, 2 * 480 * 4096 * 4096 / (time.perf_counter() - start) / 1e9)
    hf_common.emit(gflops=best)


if __name__ == "__main__":
    main()
