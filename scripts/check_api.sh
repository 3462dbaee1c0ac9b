#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes the pages of the public headers to build/api/html/ (doxygen, docs/Doxyfile). A comment that
# doxygen does not understand is a fault: one line each, then exit 1.
set -euo pipefail
program=check_api
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/report.sh
source "$root/scripts/report.sh"
cd "$root"
log="$root/build/api.log"

case ${1:-} in
  -h | --help)
    print_help "${BASH_SOURCE[0]}"
    exit 0
    ;;
  '') ;;
  *) wrong_usage "got '$1', expected nothing." ;;
esac
tool=$(command -v doxygen) || fail doxygen "is not here. Run scripts/bootstrap.sh --checks."
mkdir -p build
rm -rf build/api
export CPX_VERSION
CPX_VERSION=$(sed -n 's/^project(cpx VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
if ! "$tool" docs/Doxyfile >"$log" 2>&1; then
  sed "s|^$root/||" "$log"
  fail doxygen "$(wc -l <"$log") lines of faults. Log: $log"
fi
say "$(find build/api/html -name '*.html' | wc -l) pages in build/api/html"
