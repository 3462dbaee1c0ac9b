#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job, end to end, on a CPU: how probable rude and courteous text is to SmolLM2-135M,
# contrastive-perplexity training on the demo data, and the same measure with the adapter.
#
#   scripts/quickstart.sh                          installs what is missing, builds, runs
#   scripts/quickstart.sh training.max_steps=20    any key of configs/demo.yaml can be set
#
# The run lies in runs/demo afterwards; a run that is there already is replaced.
set -euo pipefail
program=quickstart
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/report.sh
source "$root/scripts/report.sh"
# shellcheck source=scripts/build.sh
source "$root/scripts/build.sh"

model=models/SmolLM2-135M-Instruct.Q4_1.gguf
config=configs/demo.yaml
heldout='data/demo/heldout/*.json'
everyday=data/demo/everyday.txt
run=runs/demo
preset=${CPX_PRESET:-release}
bin=build/$preset/bin

# show COMMAND...: prints the command, then runs it.
show() {
  printf '\n$ %s\n' "$(printf '%q ' "$@" | sed 's/\\\*/*/g')"
  "$@"
}

for argument; do
  case $argument in
    -h | --help)
      print_help "${BASH_SOURCE[0]}"
      exit 0
      ;;
    training.output=*) run=${argument#*=} ;;
    [!-]*=*) ;;
    *) wrong_usage "got '$argument', expected key=value." ;;
  esac
done

adapter=$run/best
"$root/scripts/bootstrap.sh"
build "$preset" all_tools
cd "$root"

say "1/4 the base model on a topic that is not trained on"
show "$bin/cpx-eval-ppl" --model "$model" --shards "$heldout"
say "2/4 training"
start=$SECONDS
show "$bin/cpx-train" --config "$config" --overwrite "training.output=$run" "$@"
say "trained in $((SECONDS - start)) s"
say "3/4 the same topic: base and adapter side by side"
show "$bin/cpx-eval-ppl" --model "$model" --shards "$heldout" --compare "$adapter"
say "4/4 everyday sentences, which should stay as probable as they were"
show "$bin/cpx-eval-ppl" --model "$model" --neutral "$everyday" --compare "$adapter"

cat <<END

The run is in $run ($SECONDS s in all):
  config.resolved.yaml  every setting of the run
  metrics.jsonl         one line a step; the same curves for TensorBoard beside it
  best/, final/         the adapter (a PEFT folder): best by the metric, and after the last step
  checkpoints/          where cpx-train --resume goes on from
END
