#!/usr/bin/env bash
# Packs the programs of one platform as a release has them, with licences, man pages and completions of shells:
#   packaging/archive.sh TARGET FOLDER OUT
# TARGET is Rust's name of the platform, FOLDER has its programs. MCPOL is one that runs here, where that in FOLDER does not.
set -euo pipefail
[ $# = 3 ] || { echo "usage: $0 TARGET FOLDER OUT" >&2; exit 2; }
target=$1 folder=$2 out=$3
top=$(cd "$(dirname "$0")/.." && pwd)
suffix=
case $target in *windows*) suffix=.exe ;; esac
run=${MCPOL:-$folder/mcpol$suffix}

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$top/Cargo.toml" | head -n 1)
name=mcpol-$version-$target
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name/completions"
cp "$folder/mcpol$suffix" "$work/$name/"
# There is no supervisor where there are no process groups.
[ -n "$suffix" ] || cp "$folder/mcpol-supervise" "$work/$name/"
cp "$top/LICENSE-MIT" "$top/LICENSE-APACHE" "$top/README.md" "$top/CHANGELOG.md" "$work/$name/"
"$run" man "$work/$name/man" >&2
for shell in bash zsh fish powershell elvish; do
  "$run" completions "$shell" >"$work/$name/completions/mcpol.$shell"
done
tar -C "$work" --owner=0 --group=0 --numeric-owner -czf "$out/$name.tar.gz" "$name"
echo "$out/$name.tar.gz"
