#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains every config of configs/tiny with two builds and compares losses and adapters bit for bit.

  scripts/compare_runs.py BEFORE AFTER [CONFIG...]

BEFORE and AFTER are folders with a cpx-train each. What a change of the code's shape must not change:
all figures of metrics.jsonl but those of clock and machine, and the bytes of final/. Overrides after
`--` go to both, for example `-- model.dtype=bfloat16`. Exits 1 where something differs.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLOCK = {
    "tokens_per_second", "cpu_seconds", "mfu", "peak_memory_mib", "eval_seconds",
    "sampling_seconds", "scoring_seconds", "policy_seconds", "seconds",
}  # fmt: skip


def train(tool, config, output, overrides):
    command = [tool, "--config", config, f"training.output={output}", *overrides]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"compare_runs: {config.name}: exit {done.returncode}: {done.stderr.strip()[-400:]}")


def figures(run):
    lines = []
    for line in (run / "metrics.jsonl").read_text().splitlines():
        lines.append({key: value for key, value in json.loads(line).items() if key not in CLOCK})
    return lines


def difference(before, after):
    """What differs first between two run folders, or None."""
    for step, (one, other) in enumerate(zip(figures(before), figures(after), strict=True)):
        for key in one.keys() | other.keys():
            if one.get(key) != other.get(key):
                return f"line {step + 1} of metrics.jsonl: {key} {one.get(key)} before, {other.get(key)} after"
    for file in sorted((before / "final").glob("*.safetensors")):
        if file.read_bytes() != (after / "final" / file.name).read_bytes():
            return f"final/{file.name}"
    return None


def main():
    arguments = sys.argv[1:]
    overrides = []
    if "--" in arguments:
        split = arguments.index("--")
        arguments, overrides = arguments[:split], arguments[split + 1 :]
    if len(arguments) < 2 or arguments[0].startswith("-"):
        print(__doc__.strip())
        sys.exit(0 if arguments[:1] in (["-h"], ["--help"]) else 2)
    before, after = (Path(folder).resolve() / "cpx-train" for folder in arguments[:2])
    configs = [Path(name) for name in arguments[2:]] or sorted((ROOT / "configs" / "tiny").glob("*.yaml"))
    num_different = 0
    with tempfile.TemporaryDirectory() as folder:
        for config in configs:
            runs = [Path(folder) / f"{config.stem}-{side}" for side in ("before", "after")]
            train(before, config, runs[0], overrides)
            train(after, config, runs[1], overrides)
            found = difference(*runs)
            num_different += found is not None
            print(f"{config.stem:<14}{found or 'the same, bit for bit'}")
    sys.exit(1 if num_different else 0)


if __name__ == "__main__":
    main()
