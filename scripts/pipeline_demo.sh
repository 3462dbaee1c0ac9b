#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole way from prompts to a measured adapter, on a CPU, with SmolLM2-135M and mild texts:
# paraphrases of both kinds, a classifier's scores, training on what passes, evaluation.
#
#   scripts/pipeline_demo.sh           installs what is missing, builds, runs
#   scripts/pipeline_demo.sh --small   four prompts and two training steps: shows that it works
#
# The classifier is a toy that the script makes from the demo's words; a real one is any RoBERTa
# folder. A small model's paraphrases are poor: the demo shows the way, not a good data set.
# All files lie in runs/pipeline afterwards; paraphrases that are there already are kept.
set -euo pipefail
program=pipeline_demo
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/report.sh
source "$root/scripts/report.sh"
# shellcheck source=scripts/build.sh
source "$root/scripts/build.sh"

model=models/SmolLM2-135M-Instruct.Q4_1.gguf
out=runs/pipeline
preset=${CPX_PRESET:-release}
bin=build/$preset/bin
sizes=(--samples 20 --keep 10)
steps=(training.max_steps=30)
min_texts=2

# show COMMAND...: prints the command, then runs it.
show() {
  printf '\n$ %s\n' "$(printf '%q ' "$@")"
  "$@"
}

case ${1-} in
  -h | --help)
    print_help "${BASH_SOURCE[0]}"
    exit 0
    ;;
  --small)
    out=runs/pipeline-small
    sizes=(--samples 8 --keep 6 --limit 6)
    steps=(training.max_steps=2 evaluation.every_steps=2 checkpoint.every_steps=2)
    min_texts=1
    ;;
  '') ;;
  *) wrong_usage "got '$1', expected --small or nothing." ;;
esac

"$root/scripts/bootstrap.sh"
build "$preset" all_tools
cd "$root"
mkdir -p "$out"

say "1/6 a toy classifier of rude and courteous words"
show scripts/make_toy_classifier.py "$out/toy_classifier"
say "2/6 courteous and rude wordings of everyday messages"
show "$bin/cpx-paraphrase" --model "$model" --input data/demo/prompts/neutral_everyday.txt \
  --template-neutral data/demo/templates/courteous.txt --template-toxic data/demo/templates/rude.txt \
  --form plain --cut-at $'\n' --max-new-tokens 40 "${sizes[@]}" --output "$out/shard.json"
say "3/6 the classifier's scores; what is on the wrong side is dropped"
show "$bin/cpx-score" --model "$out/toy_classifier" --label rude --input "$out/shard.json" \
  --keep-below 0.5 --keep-above 0.5 --min-texts "$min_texts" --output "$out/clean.json"
say "4/6 training"
show "$bin/cpx-train" --config configs/demo.yaml --overwrite "data.train=[$out/clean.json]" \
  "objective.num_positives=$min_texts" "objective.num_hard_negatives=$min_texts" \
  "training.output=$out/run" "${steps[@]}"
say "5/6 a topic that people wrote: base and adapter side by side"
show "$bin/cpx-eval-ppl" --model "$model" --shards 'data/demo/heldout/*.json' --compare "$out/run/final"
say "6/6 what both write"
show "$bin/cpx-generate" --model "$model" --adapter "$out/run/final" --compare --max-new-tokens 40 \
  --prompt "Write a short reply to a passenger who asks when the bus leaves."

cat <<END

All is in $out ($SECONDS s in all):
  shard.json, shard.json.meta   paraphrases with their ROUGE-L, and how they were made
  clean.json                         those that the classifier lets pass, with its scores
  run/                               the training run; run/final is the adapter
END
