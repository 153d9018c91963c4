#!/usr/bin/env bash
# Prints the formula for a version, with the checksums of its archives:  packaging/homebrew/fill.sh VERSION SHA256SUMS
set -euo pipefail
[ $# = 2 ] || { echo "usage: $0 VERSION SHA256SUMS" >&2; exit 2; }
version=$1 sums=$2
formula=$(cat "$(dirname "$0")/mcpol.rb")
formula=${formula//@VERSION@/$version}
for target in {aarch64,x86_64}-{apple-darwin,unknown-linux-musl}; do
  sum=$(sed -n "s/^\([0-9a-f]\{64\}\)  mcpol-$version-$target\.tar\.gz$/\1/p" "$sums")
  [ -n "$sum" ] || { echo "no checksum of mcpol-$version-$target.tar.gz in $sums" >&2; exit 1; }
  formula=${formula//@$target@/$sum}
done
printf '%s\n' "$formula"
