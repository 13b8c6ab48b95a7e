#!/usr/bin/env bash
# Brings promtool, Prometheus's own checker, and prints where it is; nothing is installed and no service is started.
# Takes the one that is there (PROMTOOL, or on the path), else unpacks it from Debian's package into target/promtool.
# Exits with 3, and one line on standard error, where there is none to be had.
set -euo pipefail
cd "$(dirname "$0")/../.."

cannot() {
  echo "no promtool: $1" >&2
  exit 3
}

found=${PROMTOOL:-$(command -v promtool || true)}
folder=$PWD/target/promtool
if [ -z "$found" ] && [ -x "$folder/usr/bin/promtool" ]; then
  found=$folder/usr/bin/promtool
fi
if [ -n "$found" ]; then
  "$found" --version >/dev/null 2>&1 || cannot "$found does not run"
  echo "$found"
  exit
fi

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || cannot "this is no Debian, and it is not on the path"
mkdir -p "$folder"
# In a folder that no other run has, and moved into place whole.
work=$(mktemp -d "$folder/new-XXXXXX")
trap 'rm -rf "$work"' EXIT
fetch() { (cd "$work" && apt-get -qq download prometheus >/dev/null 2>&1); }
if ! fetch; then
  apt-get -qq update >/dev/null 2>&1 || cannot "apt-get update failed"
  fetch || cannot "apt-get has no package prometheus"
fi
dpkg-deb -x "$work"/prometheus_*.deb "$work/tree" || cannot "the package cannot be unpacked"
"$work/tree/usr/bin/promtool" --version >/dev/null 2>&1 || cannot "the one of the package does not run"
mkdir -p "$folder/usr/bin"
mv "$work/tree/usr/bin/promtool" "$folder/usr/bin/promtool"
echo "$folder/usr/bin/promtool"
