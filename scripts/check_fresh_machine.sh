#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Types the commands of README.md and docs/usage.md, in their order, into a bare machine: a tree of
# Debian 12 in which nothing is installed that Debian does not need itself.
#
#   scripts/check_fresh_machine.sh TREE                    the bash blocks of both pages, each as it stands
#   scripts/check_fresh_machine.sh TREE --without-tests    the same, but for scripts/test.sh, the longest
#   scripts/check_fresh_machine.sh TREE COMMAND...         another command in the clone: .ci/run
#
# Needs root and debootstrap (a package of Debian). TREE is a folder: it is made where it is missing, and
# kept. HEAD is cloned into TREE/srv/cpx, anew each time. The tree gets this machine's settings of apt
# and pip and its certificates, so that packages come from where they come from here; nothing else.
# CPX_DEBIAN_MIRROR names another mirror than apt's first one.
set -euo pipefail
program=check_fresh_machine
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/report.sh
source "$root/scripts/report.sh"

case ${1:-} in
  -h | --help)
    print_help "${BASH_SOURCE[0]}"
    exit 0
    ;;
  '' | -*) wrong_usage "got '${1:-}', expected the folder of the tree." ;;
esac
mkdir -p "$1"
tree=$(cd "$1" && pwd)
shift
left_out=
if [ "${1:-}" = --without-tests ]; then
  left_out=scripts/test.sh
  shift
fi
[ "$(id -u)" = 0 ] || fail user "got user $(id -un), expected root: a tree is entered by chroot."
command -v debootstrap >/dev/null || fail debootstrap "is not installed. apt-get install debootstrap"

# Mounts and the shell's variables of the tree end with this script.
if [ -z "${CPX_FRESH_MACHINE:-}" ]; then
  set -- "$tree" ${left_out:+--without-tests} "$@"
  CPX_FRESH_MACHINE=1 exec unshare --mount --propagation private -- "$root/scripts/check_fresh_machine.sh" "$@"
fi

if [ ! -e "$tree/etc/debian_version" ]; then
  mirror=${CPX_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)}
  say "a bare Debian 12 in $tree"
  debootstrap --variant=minbase bookworm "$tree" "$mirror" >"$tree.log" 2>&1 ||
    fail debootstrap "failed; its last lines: $(tail -n 3 "$tree.log")"
fi
for settings in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/pip.conf /etc/resolv.conf \
  /etc/hosts; do
  [ -e "$settings" ] || continue
  mkdir -p "$tree$(dirname "$settings")"
  rm -rf "${tree:?}$settings"
  cp -rL "$settings" "$tree$settings"
done
# Not in its usual place, where the tree's own package of certificates would write over it.
certificates=/srv/certificates.crt
mkdir -p "$tree/srv"
cp -L /etc/ssl/certs/ca-certificates.crt "$tree$certificates"
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"

rm -rf "$tree/srv/cpx"
git clone --quiet "$root" "$tree/srv/cpx"
blocks="$tree/srv/blocks"
rm -rf "$blocks"
mkdir -p "$blocks"
if [ $# -gt 0 ]; then
  printf '%s\n' "$(printf '%q ' "$@")" >"$blocks/01"
else
  # A file a block: its lines as they stand.
  awk -v folder="$blocks" '/^```bash$/ {file = sprintf("%s/%02d", folder, ++n); next}
                           /^```/ {file = ""}
                           file {print > file}' "$root/README.md" "$root/docs/usage.md"
fi

# What a shell of the tree has: no variable of ours but those for packages and certificates.
kept=(HOME=/srv TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
kept+=("PIP_CERT=$certificates" "SSL_CERT_FILE=$certificates")
while IFS= read -r line; do kept+=("$line"); done < <(env | grep -E '^(PIP_INDEX_URL|https?_proxy|no_proxy)=' || true)
for block in "$blocks"/*; do
  if [ -n "$left_out" ] && grep -q "$left_out" "$block"; then continue; fi
  say "$(basename "$block"): $(head -n 1 "$block")"
  start=$SECONDS
  env -i "${kept[@]}" chroot "$tree" bash -ec "cd /srv/cpx && . /srv/blocks/$(basename "$block")" </dev/null ||
    fail "block $(basename "$block")" "failed after $((SECONDS - start)) s: $(head -n 1 "$block")"
  say "$(basename "$block") took $((SECONDS - start)) s"
done
say "all commands worked."
