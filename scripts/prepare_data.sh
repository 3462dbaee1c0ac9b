#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Brings the data of the published experiments to where the configs look. Safe to stop and to run
# again: it goes on where it was, and does nothing where all is there.
#
#   scripts/prepare_data.sh                 ToxiGen's prompts from their public repository
#   scripts/prepare_data.sh --from FOLDER   prompts, shards or both from copies at hand
#   scripts/prepare_data.sh --help
#
#   data/toxigen/              26 lists of prompts, for cpx-paraphrase; 14 MB
#   data/safenlp_processed/    13 contrast shards, for configs/mistral.yaml and the like; 12 MB
#
# Sizes and checksums are in scripts/prepare_data/files.txt; no other file is taken. No public place
# of the shards is known: they come from FOLDER, or from CPX_SHARDS_URL. Shards of your own are made
# by cpx-paraphrase and cpx-score (docs/migrate.md).
#
# The files hold hateful text, made for research on detecting it. cpx itself ships none of it.
#
# Environment:
#   CPX_PROMPTS_URL   another place of the prompts: the URL of their folder
#   CPX_SHARDS_URL    a place of the shards, likewise
set -euo pipefail
program=prepare_data
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=scripts/report.sh
source "$here/report.sh"

list="$here/prepare_data/files.txt"
prompts_url=${CPX_PROMPTS_URL:-https://raw.githubusercontent.com/microsoft/TOXIGEN/01517e814639e0334c920a3c502036c8158aac87/prompts}
shards_url=${CPX_SHARDS_URL:-}
from=''

parse_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --from)
        [ $# -gt 1 ] || wrong_usage "got --from without a folder."
        from=$2
        shift
        [ -d "$from" ] || fail from "'$from' is no folder."
        ;;
      -h | --help)
        print_help "${BASH_SOURCE[0]}"
        exit 0
        ;;
      *) wrong_usage "got '$1', expected --from FOLDER or nothing." ;;
    esac
    shift
  done
}

# files_of SET: its lines of the list, without the set's name.
files_of() { sed -n "s/^$1 //p" "$list"; }

# fault_of FILE BYTES SHA256: what is wrong with FILE, nothing where it is the one that is expected.
fault_of() {
  local bytes sha256
  bytes=$(stat -Lc %s "$1")
  if [ "$bytes" != "$2" ]; then
    printf 'it has %s bytes, expected %s' "$bytes" "$2"
    return
  fi
  sha256=$(sha256sum <"$1" | cut -d ' ' -f 1)
  [ "$sha256" = "$3" ] || printf 'its sha256 is %s, expected %s' "$sha256" "$3"
}

# is_there SET FILE BYTES SHA256: whether FILE is in its place. Another file there is never replaced.
is_there() {
  local fault
  [ -e "$root/$2" ] || return 1
  fault=$(fault_of "$root/$2" "$3" "$4")
  [ -z "$fault" ] ||
    fail "$1" "$2: $fault (scripts/prepare_data/files.txt). It is left as it is; move it away, then run this again."
}

# copy_at_hand FILE NAME: the path of FILE's copy in the folder of --from, under either name.
copy_at_hand() {
  local folder name
  for folder in "$from" "$from/$(basename "$(dirname "$1")")" "$from/prompts"; do
    for name in "$(basename "$1")" "$2"; do
      if [ -f "$folder/$name" ]; then
        printf '%s\n' "$folder/$name"
        return
      fi
    done
  done
}

# place SET FILE BYTES SHA256: FILE.part becomes FILE where it is what is expected.
place() {
  local part="$root/$2.part" fault
  fault=$(fault_of "$part" "$3" "$4")
  if [ -n "$fault" ]; then
    rm -f "$part"
    fail "$1" "$2: $fault (scripts/prepare_data/files.txt). What arrived is not used."
  fi
  mv "$part" "$root/$2"
}

# count_copies SET: sets `found` to the number of its files in the folder of --from, `missing` to the others.
count_copies() {
  local file name _
  found=0
  missing=''
  while read -r _ _ file name; do
    if [ -n "$(copy_at_hand "$file" "$name")" ]; then
      found=$((found + 1))
    else
      missing+=" $(basename "$file")"
    fi
  done < <(files_of "$1")
}

# copy_set SET: its files from the folder of --from, where some are there: all must be, or nothing is copied.
copy_set() {
  local set=$1 file bytes sha256 name copy fault
  count_copies "$set"
  [ "$found" != 0 ] || return 0
  [ -z "$missing" ] || fail "$set" "'$from' has $found of $(files_of "$set" | wc -l) files, not$missing."
  copied_any=yes
  while read -r bytes sha256 file name; do
    ! is_there "$set" "$file" "$bytes" "$sha256" || continue
    copy=$(copy_at_hand "$file" "$name")
    fault=$(fault_of "$copy" "$bytes" "$sha256")
    [ -z "$fault" ] || fail "$set" "$copy: $fault (scripts/prepare_data/files.txt). It is not taken."
    mkdir -p "$root/$(dirname "$file")"
    cp "$copy" "$root/$file.part"
    place "$set" "$file" "$bytes" "$sha256"
  done < <(files_of "$set")
}

# download_set SET URL: its files from URL; a partial file is gone on with.
download_set() {
  local set=$1 url=$2 file bytes sha256 name part why
  while read -r bytes sha256 file name; do
    ! is_there "$set" "$file" "$bytes" "$sha256" || continue
    part="$root/$file.part"
    mkdir -p "$(dirname "$part")"
    if [ "$(stat -c %s "$part" 2>/dev/null || echo 0)" -lt "$bytes" ]; then
      say "$set: $name"
      why=$(python3 "$here/prepare_data/fetch.py" "$url/$name" "$part" 2>&1 </dev/null) ||
        fail network "$url/$name: ${why##*$'\n'}. Check the network and the proxy, or give --from FOLDER. Run this again: it goes on from here."
    fi
    place "$set" "$file" "$bytes" "$sha256"
  done < <(files_of "$set")
}

# report SET: how many files of SET are in their place.
report() {
  local set=$1 file bytes sha256 folder='' have=0 total=0 _
  while read -r bytes sha256 file _; do
    total=$((total + 1))
    folder=$(dirname "$file")
    ! is_there "$set" "$file" "$bytes" "$sha256" || have=$((have + 1))
  done < <(files_of "$set")
  if [ "$have" = "$total" ]; then
    say "$set: all $total files are in $folder"
  else
    say "$set: $have of $total files are in $folder; --help tells where they come from"
  fi
}

parse_arguments "$@"
command -v python3 >/dev/null || fail packages "no python3 here. Run scripts/bootstrap.sh."
# One at a time: two would write into the same partial files.
exec 9<"$list"
flock 9
if [ -n "$from" ]; then
  copied_any=no
  copy_set prompts
  copy_set shards
  [ "$copied_any" = yes ] || fail from "'$from' holds no file of scripts/prepare_data/files.txt."
else
  download_set prompts "$prompts_url"
  [ -z "$shards_url" ] || download_set shards "$shards_url"
fi
report prompts
report shards
