#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-tidy 14 with the checks of .clang-tidy; one line a fault, then exit 1.
#
#   scripts/check_tidy.sh              the modules without LibTorch, and a dozen other changed sources
#   scripts/check_tidy.sh --all        all of src/ and tools/: half an hour on one core
#   scripts/check_tidy.sh FILE...      these sources
#
# Changed is what differs from origin/main, or from the commit that CPX_TIDY_BASE names. Configures
# build/tidy, where nothing is compiled: clang needs each source by itself, without GCC's precompiled
# header.
set -euo pipefail
program=check_tidy
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/report.sh
source "$root/scripts/report.sh"
cd "$root"
build=build/tidy
log="$root/build/tidy.log"

# A source with LibTorch takes 20 s, one without 3 s. So of those that differ no more are looked at.
most_changed=12

# Sources of the modules that are added without TORCH.
plain_sources() { grep -L TORCH src/*/CMakeLists.txt | xargs -n 1 dirname | xargs -I{} find {} -name '*.cpp' | sort; }

# Other sources that differ from the base; none where the base is not known.
changed_sources() {
  local base=${CPX_TIDY_BASE:-origin/main}
  git rev-parse --verify --quiet "$base^{commit}" >/dev/null || return 0
  git diff --name-only --diff-filter=d "$(git merge-base "$base" HEAD)" -- 'src/*.cpp' 'tools/*.cpp' |
    grep -vxF -f <(plain_sources) || true
}

choose_sources() {
  case ${1:-} in
    '')
      local changed
      mapfile -t sources < <(plain_sources)
      mapfile -t changed < <(changed_sources)
      sources+=("${changed[@]:0:most_changed}")
      [ ${#changed[@]} -le $most_changed ] ||
        say "left out ${changed[*]:most_changed}: more than $most_changed changed. scripts/check_tidy.sh FILE..."
      ;;
    --all) mapfile -t sources < <(find src tools -name '*.cpp' | sort) ;;
    *) sources=("$@") ;;
  esac
}

case ${1:-} in
  -h | --help)
    print_help "${BASH_SOURCE[0]}"
    exit 0
    ;;
  --all) [ $# = 1 ] || wrong_usage "got '$2' behind --all, expected nothing." ;;
  -*) wrong_usage "got '$1', expected --all, files or nothing." ;;
esac
tool=$(command -v clang-tidy-14) || fail clang-tidy "no clang-tidy-14 here. Run scripts/bootstrap.sh --checks."
for file; do [ "$file" = --all ] || [ -f "$file" ] || fail "$file" "no such file, expected a source."; done

mkdir -p build
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Dev -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
  -DCMAKE_UNITY_BUILD=OFF -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >"$log" 2>&1 ||
  fail configure "failed: $(last_line "$log") Log: $log"

# clang does not know these of GCC's flags; what it says of its own ones is no fault of ours.
flags=(--extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unused-command-line-argument)
start=$SECONDS
choose_sources "$@"
status=0
printf '%s\n' "${sources[@]}" | xargs -r -P "$(nproc)" -n 1 "$tool" -p "$build" --quiet "${flags[@]}" >"$log" 2>&1 || status=$?
faults=$(grep -E '^[^ ]+:[0-9]+:[0-9]+: (error|warning):' "$log" | sed "s|^$root/||" | sort -u || true)
if [ "$status" != 0 ]; then
  [ -z "$faults" ] || printf '%s\n' "$faults"
  fail clang-tidy "$(grep -c . <<<"$faults" || true) faults in ${#sources[@]} sources. Log: $log"
fi
say "no fault in ${#sources[@]} sources ($((SECONDS - start)) s)"
