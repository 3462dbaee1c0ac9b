#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prepares the studies' data and runs the studies: benchmarks/studies/run.sh DATA [STUDY...]
# DATA: folder of the SafeNLP contrast shards (not part of cpx). STUDY: anchored, push, evidence or detoxify; all without one.
# push and detoxify also need what benchmarks/README.md lists, in build/study/sources.
# Pages go to benchmarks/results/STUDY_smollm2_HARDWARE_DATE.md (HARDWARE: this machine's, or $CPX_HARDWARE). What has
# been run on the same data is not run again. Needs the release build ($CPX_BIN: another one) and the SmolLM2 GGUF.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ $# -lt 1 ] || [ "${1#-}" != "$1" ]; then
  sed -n 's/^# //p' "${BASH_SOURCE[0]}" | tail -n +2
  [ "${1:-}" = --help ] && exit 0 || exit 2
fi
data=$1
shift
bin=${CPX_BIN:-build/release/bin}
out=build/study/data
hardware=${CPX_HARDWARE:-$(cd benchmarks && python3 -c 'from compare import machine; print(machine.page_hardware())')}

mkdir -p "$out"
python3 benchmarks/studies/split_shards.py "$data"/*.json --held-out neutral_latino --out "$out" | tee "$out.split.txt"
if [ ! -s "$out/retain.jsonl" ]; then
  "$bin/cpx-generate" --model models/SmolLM2-135M-Instruct.Q4_1.gguf --dtype float32 --input benchmarks/studies/openings.txt \
    --template plain --samples 8 --temperature 0.7 --top-p 1 --max-new-tokens 40 --min-new-tokens 12 --seed 1 \
    --output "$out.samples.jsonl"
  python3 benchmarks/studies/join_samples.py "$out.samples.jsonl" "$out/retain.jsonl"
fi
python3 benchmarks/studies/telling_words.py "$out"/train/*.json --out "$out/words.json"

[ $# -gt 0 ] || set -- anchored push evidence detoxify
for study in "$@"; do
  if [ "$study" = detoxify ]; then
    python3 benchmarks/studies/evaluation_data.py build/study/sources "$out" --out build/study/evaluated
  fi
  page=benchmarks/results/${study}_smollm2_${hardware}_$(date +%F).md
  python3 benchmarks/study.py "benchmarks/studies/$study.json" --bin "$bin" --out "$page"
  echo "written: $page"
done
