# SPDX-License-Identifier: Apache-2.0
# What cpx needs from the distribution: Debian 12, Ubuntu 24.04 and later. Sourced by bootstrap.sh,
# which sets with_checks to a word where --checks is given.
# shellcheck shell=bash

# package, then how to tell that it is there: a command, or a header below an include folder.
packages='
g++                   command g++
cmake                 command cmake
ninja-build           command ninja
git                   command git
ccache                command ccache
clang-format-14       command clang-format-14
python3               command python3
python3-pip           python  pip
nlohmann-json3-dev    header  nlohmann/json.hpp
libcli11-dev          header  CLI/CLI.hpp
libspdlog-dev         header  spdlog/spdlog.h
libfmt-dev            header  fmt/format.h
libyaml-cpp-dev       header  yaml-cpp/yaml.h
libpcre2-dev          header  pcre2.h
libjemalloc-dev       header  jemalloc/jemalloc.h
libgtest-dev          header  gtest/gtest.h
libgmock-dev          header  gmock/gmock.h
libbenchmark-dev      header  benchmark/benchmark.h
'
# What only the checks of .ci/run need (--checks).
check_packages='
clang-tidy-14         command clang-tidy-14
doxygen               command doxygen
'
min_cmake=3.25
min_gxx=12

# find_python MODULE: sets `python` to one that has MODULE, false when there is none. The distribution's
# own is the second choice: a virtual environment may have no pip.
find_python() {
  for python in python3 /usr/bin/python3; do
    "$python" -c "import $1" 2>/dev/null && return
  done
  return 1
}

is_present() {
  local kind=$1 what=$2 folder
  case $kind in
    command) command -v "$what" >/dev/null ;;
    python) find_python "$what" ;;
    header)
      for folder in /usr/include /usr/local/include; do
        [ -e "$folder/$what" ] && return
      done
      return 1
      ;;
  esac
}

missing_packages() {
  local package kind what
  while read -r package kind what; do
    [ -z "$package" ] || is_present "$kind" "$what" || printf '%s\n' "$package"
  done <<<"$packages${with_checks:+$check_packages}"
}

is_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

check_machine() {
  [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] ||
    fail machine "got $(uname -s) $(uname -m), expected Linux x86_64 (LibTorch is taken as a binary for it)."
  grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo ||
    fail machine "this processor has no AVX2 and FMA, expected x86-64-v3 or later: cpx is compiled for it."
}

check_tool_versions() {
  local got
  got=$(cmake --version | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
  is_at_least "$got" "$min_cmake" ||
    fail packages "cmake is $got, expected $min_cmake or later. Debian 12 and Ubuntu 24.04 have it."
  got=$("${CXX:-g++}" -dumpfullversion -dumpversion)
  is_at_least "$got" "$min_gxx" ||
    fail packages "${CXX:-g++} is $got, expected $min_gxx or later. Debian 12 and Ubuntu 24.04 have it."
}

# as_root LOG COMMAND...: COMMAND as root, its output in LOG.
as_root() {
  local log=$1
  shift
  if [ "$(id -u)" = 0 ]; then
    "$@" >>"$log" 2>&1 </dev/null
  else
    sudo "$@" >>"$log" 2>&1
  fi
}

install_packages() {
  local missing log="$downloads/apt.log" start=$SECONDS
  missing=$(missing_packages | tr '\n' ' ')
  missing=${missing% }
  if [ -z "$missing" ]; then
    check_tool_versions
    return
  fi
  command -v apt-get >/dev/null ||
    fail packages "missing: $missing (Debian's names), and there is no apt-get here. Install them, then run this again."
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    fail packages "missing: $missing, and neither root nor sudo is there. Have root run: apt-get install $missing"
  say "packages: installing through apt: $missing"
  : >"$log"
  as_root "$log" apt-get -q update ||
    say "packages: apt-get update failed, going on with the lists that are there ($(last_line "$log"))"
  # shellcheck disable=SC2086
  as_root "$log" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends $missing ||
    fail packages "apt-get could not install $missing: $(last_line "$log") Is the network there? Log: $log"
  missing=$(missing_packages | tr '\n' ' ')
  [ -z "$missing" ] || fail packages "still missing after apt-get: ${missing% }. Log: $log"
  check_tool_versions
  say "packages: installed ($((SECONDS - start)) s)"
}
