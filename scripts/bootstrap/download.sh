# SPDX-License-Identifier: Apache-2.0
# Downloads by name from downloads.txt and unpacks them aside. Sourced by bootstrap.sh.
# shellcheck shell=bash disable=SC2154

# entry NAME FIELD: field of NAME's line in downloads.txt.
entry() {
  local line
  line=$(grep "^$1==" "$list") || fail downloads "no '$1' in $list."
  case $2 in
    requirement) printf '%s\n' "${line%%  #*}" ;;
    version) sed 's/^[^=]*==\([^ ]*\) .*/\1/' <<<"$line" ;;
    sha256) sed 's/.*sha256:\([0-9a-f]*\).*/\1/' <<<"$line" ;;
    download_mib) sed 's/.*# *\([0-9]*\) .*/\1/' <<<"$line" ;;
    unpacked_mib) sed 's/.*# *[0-9]* \([0-9]*\) .*/\1/' <<<"$line" ;;
    file) printf '%s\n' "${line##* }" ;;
  esac
}

free_mib() { df -Pm "$1" | awk 'NR == 2 {print $4}'; }

# need_space FOLDER MIB WHAT
need_space() {
  local free
  free=$(free_mib "$1")
  [ "$free" -ge "$2" ] ||
    fail disk "$3 needs $2 MiB in $1, $free MiB are free. Free some space, then run this again: it goes on from here."
}

is_verified() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$2" ]; }

# Shows the size of what has arrived so far, until it or the script ends.
show_arrival() {
  local name=$1 total=$2 waited=0 have pause=10
  [ -t 2 ] && pause=1
  while sleep "$pause" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    waited=$((waited + pause))
    have=$(du -sm "$incoming" 2>/dev/null | cut -f 1)
    # pip copies the file at its end.
    [ "${have:-0}" -le "$total" ] || have=$total
    if [ -t 2 ]; then
      printf '\r%s: %s: %s of %s MiB, %s s ' "$program" "$name" "$have" "$total" "$waited" >&2
    else
      say "$name: $have of $total MiB after $waited s"
    fi
  done
}

# One line on why pip failed, from its log.
explain_pip() {
  local name=$1 log=$2
  if grep -q "DO NOT MATCH THE HASHES" "$log"; then
    fail downloads "$name: the file's checksum is not the one in $list. Delete nothing, and do not use it: find out why. Log: $log"
  elif grep -qiE "No space left|Errno 28" "$log"; then
    fail disk "$name: no space left in $downloads. Free some, then run this again: it goes on from here."
  elif grep -qiE "Retrying|Connection|Name or service|Temporary failure|timed out|SSL|ProxyError|Network" "$log"; then
    fail network "$name: pip reached no package index. Check the network, the proxy and PIP_INDEX_URL, then run this again: it goes on from here. Log: $log"
  elif grep -q "No matching distribution" "$log"; then
    fail downloads "$name: the package index has no $(entry "$name" file). Check PIP_INDEX_URL and pip's configuration. Log: $log"
  fi
  fail downloads "$name: pip failed: $(last_line "$log") Log: $log"
}

# fetch NAME: downloads NAME's file, unless it is there and right.
fetch() {
  local name=$1 file sha256 log="$downloads/pip.log" start=$SECONDS status=0
  file=$(entry "$name" file)
  sha256=$(entry "$name" sha256)
  is_verified "$downloads/$file" "$sha256" && return
  [ ! -e "$downloads/$file" ] || say "$name: $downloads/$file is not the file that is expected, downloading it again"
  # pip writes a temporary copy first.
  need_space "$downloads" "$((2 * $(entry "$name" download_mib) + 50))" "downloading $name"
  rm -rf "$incoming"
  mkdir -p "$incoming/tmp"
  entry "$name" requirement >"$incoming/requirements.txt"
  say "$name $(entry "$name" version): downloading $(entry "$name" download_mib) MiB"
  # Without the lock (9): it may outlive the script by a second.
  show_arrival "$name" "$(entry "$name" download_mib)" 9>&- &
  watcher=$!
  trap 'kill "$watcher" 2>/dev/null' EXIT
  # Wheels for the ABI of the file's name, whatever Python runs pip.
  TMPDIR="$incoming/tmp" "$python" -m pip download --no-deps --require-hashes --no-cache-dir \
    --disable-pip-version-check --no-input --retries 2 --timeout 30 --progress-bar off \
    --only-binary :all: --no-binary sentencepiece \
    --implementation cp --python-version 3.11 --abi cp311 "${platforms[@]}" \
    --dest "$incoming" --requirement "$incoming/requirements.txt" >"$log" 2>&1 </dev/null || status=$?
  kill "$watcher" 2>/dev/null || true
  trap - EXIT
  wait "$watcher" 2>/dev/null || true
  [ ! -t 2 ] || printf '\r\033[K' >&2
  [ "$status" = 0 ] || explain_pip "$name" "$log"
  is_verified "$incoming/$file" "$sha256" ||
    fail downloads "$name: pip brought no '$file' with the checksum in $list. Log: $log"
  mv -f "$incoming/$file" "$downloads/$file"
  rm -rf "$incoming"
  say "$name: downloaded and verified ($((SECONDS - start)) s)"
}

# unpack NAME FOLDER MIB OPTIONS...: fetches NAME and unpacks MIB of it into the new FOLDER.
unpack() {
  local name=$1 folder=$2 mib=$3 why
  shift 3
  fetch "$name"
  need_space "$third_party" "$((mib + 50))" "unpacking $name"
  rm -rf "$folder"
  mkdir -p "$folder"
  why=$("$python" "$here/bootstrap/unpack.py" "$downloads/$(entry "$name" file)" "$folder" "$@" 2>&1) ||
    fail unpack "$why. Is the disk full? Run this again: it starts with this file."
}

# replace FOLDER NEW: NEW takes FOLDER's place; a stop in between leaves none, which the next run mends.
replace() {
  rm -rf "$staging/old"
  [ ! -e "$1" ] || mv "$1" "$staging/old"
  mv "$2" "$1"
  rm -rf "$staging/old"
}

# is_stamped FILE TEXT...: whether FILE holds one of the TEXTs.
is_stamped() {
  local stamp=$1 text
  shift
  for text; do
    [ "$(cat "$stamp" 2>/dev/null)" = "$text" ] && return
  done
  return 1
}
