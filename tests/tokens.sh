#!/usr/bin/env bash
# Holds the token estimates of `mcpol scan` (docs/tokens.md) against real tokenizers, tool by tool, and fails where they
# have drifted apart.
#
#   tests/tokens.sh             the records in catalog/
#   tests/tokens.sh FOLDER…     other saved lists, one server a file
#
# Needs node with npm, and a network for the first run: installs gpt-tokenizer, pinned, into tests/.tokens.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
tools=$here/.tokens
mcpol=${MCPOL:-${CARGO_TARGET_DIR:-$top/target}/debug/mcpol}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! cmp -s "$here/tokens/package-lock.json" "$tools/package-lock.json"; then
  mkdir -p "$tools"
  cp "$here/tokens/package.json" "$here/tokens/package-lock.json" "$tools"
  npm ci --prefix "$tools" --no-audit --no-fund --loglevel=error >"$work/npm.log" 2>&1 ||
    { cat "$work/npm.log" >&2; rm -f "$tools/package-lock.json"; exit 1; }
fi
[ -x "$mcpol" ] || (cd "$top" && cargo build --quiet)

[ $# -gt 0 ] || set -- "$top/catalog"
"$mcpol" scan --tools "$@" --format ndjson >"$work/scan.ndjson"
# node looks for packages beside the program.
cp "$here/tokens/compare.mjs" "$tools/compare.mjs"
node "$tools/compare.mjs" "$work/scan.ndjson" "$@"
