# SPDX-License-Identifier: Apache-2.0
# Configures and builds a preset. Sourced by the other scripts; needs report.sh and `root`.
# shellcheck shell=bash disable=SC2154

# build PRESET [TARGET...]: quiet where standard error is no terminal, ninja's one line where it is.
build() {
  local preset=$1 log="$root/build/$1.log" start=$SECONDS
  shift
  mkdir -p "$root/build"
  say "$preset: configuring"
  (cd "$root" && cmake --preset "$preset") >"$log" 2>&1 </dev/null || show_failure configure "$preset" "$log"
  say "$preset: building ${*:-all} (minutes the first time)"
  local command=(cmake --build "$root/build/$preset")
  [ $# = 0 ] || command+=(--target "$@")
  if [ -t 2 ]; then
    "${command[@]}" >&2 || fail build "$preset does not build."
  else
    "${command[@]}" >>"$log" 2>&1 </dev/null || show_failure build "$preset" "$log"
  fi
  say "$preset: built in build/$preset ($((SECONDS - start)) s)"
}

# show_failure STAGE PRESET LOG: the first errors of the log, then one line.
show_failure() {
  grep -nE -A 12 'error:|error: |Error at|FAILED:|undefined (reference|symbol)' "$3" | head -n 60 >&2 || tail -n 30 "$3" >&2
  fail "$1" "preset $2 failed. Log: $3"
}
