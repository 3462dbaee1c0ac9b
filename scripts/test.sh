#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds all and runs all tests; enough on a fresh machine.
#
#   scripts/test.sh                        preset dev, all tests
#   scripts/test.sh dev -L unit            only the tests with a label: unit, tool, script
#   scripts/test.sh dev -R Checkpoint      only those whose name matches
#   scripts/test.sh asan-ubsan -L unit     under the sanitizers
#
# What follows the preset goes to ctest. docs/development.md tells the presets apart.
set -euo pipefail
program="test"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/report.sh
source "$root/scripts/report.sh"
# shellcheck source=scripts/build.sh
source "$root/scripts/build.sh"

preset=dev
case ${1:-} in
  -h | --help)
    print_help "${BASH_SOURCE[0]}"
    exit 0
    ;;
  dev | asan-ubsan | tsan | cuda)
    preset=$1
    shift
    ;;
  -* | '') ;;
  *) wrong_usage "got '$1', expected dev, asan-ubsan, tsan, cuda or an argument of ctest." ;;
esac

"$root/scripts/bootstrap.sh"
build "$preset"
cd "$root"
exec ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" "$@"
