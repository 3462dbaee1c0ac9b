#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks how files are written; one line a fault, then exit 1. scripts/check_format.sh --fix formats
# the C++ sources in place.
#
#   C++ sources as .clang-format says (clang-format 14); headers with #pragma once
#   the SPDX line in every file that can hold one; ASCII only in the same files
#   no tab, no blank at a line's end, a newline at a file's end
#   no left-over word without the issue's number, no path of somebody's machine
set -euo pipefail
program=check_format
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/report.sh
source "$root/scripts/report.sh"
cd "$root"

faults=0
fault() {
  printf '%s\n' "$1"
  faults=$((faults + 1))
}

# files PATTERN...: tracked and new files, without what git ignores.
files() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do [ ! -f "$file" ] || printf '%s\n' "$file"; done; }

# Files whose form has room for a comment; data and fixtures are not ours to mark.
commentable() {
  files '*.h' '*.cpp' '*.cu' '*.cuh' '*.py' '*.sh' '*.cmake' '*.cmake.in' '*CMakeLists.txt' '*.yaml' '*.md' \
    '*.supp' 'src/*.css' 'src/*.js' '.ci/*' '.github/*.yml' '*.cff' '*.dox' docs/Doxyfile .clang-format .clang-tidy .editorconfig .gitignore 'scripts/*.txt' | grep -v '^tests/fixtures/.*\.yaml$'
}

check_clang_format() {
  local tool
  tool=$(command -v clang-format-14) || fail clang-format "no clang-format-14 here. Run scripts/bootstrap.sh."
  if [ "${1:-}" = --fix ]; then
    files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r "$tool" -i
  else
    while read -r count file; do
      fault "$file: $count places are not as .clang-format says"
    done < <(files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r "$tool" --dry-run 2>&1 |
      sed -nE 's/^([^ :]+):[0-9]+:[0-9]+: (warning|error): .*/\1/p' | sort | uniq -c)
  fi
}

# each_hit MESSAGE GREP-ARGUMENTS...: a fault for each line that grep finds in commentable files.
each_hit() {
  local message=$1
  shift
  while IFS= read -r line; do
    fault "${line%%:*}:$(cut -d : -f 2 <<<"$line"): $message"
  done < <(commentable | LC_ALL=C xargs -r grep -nHI "$@")
}

check_texts() {
  while read -r file; do
    head -n 2 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || fault "$file: no SPDX line at its top"
    [ -z "$(tail -c 1 "$file")" ] || fault "$file: no newline at its end"
  done < <(commentable)
  while read -r file; do
    grep -q '^#pragma once$' "$file" || fault "$file: no #pragma once"
  done < <(files '*.h' '*.cuh')
  each_hit "not ASCII" -P '[^\x00-\x7F]'
  each_hit "blank at the line's end" -E '[[:blank:]]+$'
  each_hit "tab" -P '\t'
  # The brackets keep this line from finding itself.
  each_hit "a left-over without its issue's number" -P '\b(TOD[O]|FIXM[E]|XX[X])\b(?!\(#\d+\))'
  each_hit "a path of somebody's machine" -E '/(work|root|home)/'
}

case ${1:-} in
  -h | --help)
    print_help "${BASH_SOURCE[0]}"
    exit 0
    ;;
  '' | --fix) ;;
  *) wrong_usage "got '$1', expected --fix or nothing." ;;
esac
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || fail git "this is no git checkout: which files are ours is not known."
check_clang_format "$@"
check_texts
[ "$faults" = 0 ] || fail format "$faults faults. scripts/check_format.sh --fix mends the C++ sources."
say "no fault in $(commentable | wc -l) files"
