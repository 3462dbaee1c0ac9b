#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A neighbour on a busy machine: threads that compute all the time, in cache, until the parent ends or a signal comes."""

import argparse
import hashlib
import os
import threading

# Long enough that hashing runs without Python's lock, short enough for the first cache.
BLOCK = bytes(16 * 1024)


def spin(parent):
    while os.getppid() == parent:
        for _ in range(100):
            hashlib.sha256(BLOCK)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--nice", type=int, default=0, help="added to the priority's number: 19 is the lowest priority")
    arguments = parser.parse_args()
    parent = os.getppid()
    os.nice(arguments.nice)
    for _ in range(arguments.threads - 1):
        threading.Thread(target=spin, args=(parent,), daemon=True).start()
    print("spinning", flush=True)
    spin(parent)


if __name__ == "__main__":
    main()
