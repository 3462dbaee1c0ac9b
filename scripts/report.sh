# SPDX-License-Identifier: Apache-2.0
# How the scripts speak. Sourced, never run; the caller sets `program`.
# shellcheck shell=bash disable=SC2154

# One line on standard error.
say() { printf '%s: %s\n' "$program" "$*" >&2; }

# fail PLACE WHAT: one line, then exit 1.
fail() {
  printf '%s: [%s] %s\n' "$program" "$1" "$2" >&2
  exit 1
}

# wrong_usage WHAT: one line, then exit 2.
wrong_usage() {
  printf '%s: [usage] %s Try --help.\n' "$program" "$1" >&2
  exit 2
}

# The comment block at the top of a script is its help text.
print_help() { sed -n '/^# SPDX/d; 2,/^[^#]/{s/^# \{0,1\}//p}' "$1"; }

# The last line of a log that is not empty.
last_line() { grep -v '^[[:space:]]*$' "$1" | tail -n 1; }
