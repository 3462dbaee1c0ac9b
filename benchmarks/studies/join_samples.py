#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins each prompt and text of a cpx-generate --output file to one plain text, as data.retain reads them.

Standard library alone.
"""

import argparse
import json
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, help="JSONL of cpx-generate --template plain")
    parser.add_argument("out", type=Path, help="JSONL with the key text")
    arguments = parser.parse_args()
    lines = [json.loads(line) for line in arguments.samples.read_text(encoding="utf-8").splitlines()]
    texts = [json.dumps({"text": line["prompt"] + line["text"]}, ensure_ascii=False) for line in lines]
    arguments.out.write_text("\n".join(texts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
