#!/usr/bin/env bash
# Builds the site of the records in catalog/ and of those in tests/site, twice with the same bytes, and looks at it as
# browsers do: headless Chromium at phone and desktop width, light and dark, with axe-core, and a checker of HTML.
# Needs node with npm, and chromium. `tests/site.sh DIR` keeps the site and pictures of its pages in DIR.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kept=${1:-$work/kept}
mkdir -p "$kept"

cd "$top"
cargo build --quiet --bin mcpol
mcpol=${CARGO_TARGET_DIR:-$top/target}/debug/mcpol

npm install --silent --no-save --prefix "$work/npm" playwright-core@1.65.1 axe-core@4.14.1 html-validate@11.21.1

build() { "$mcpol" catalog build catalog tests/site/records -o "$1" --base-url https://catalogue.example/; }
build "$kept/site"
cp -r "$kept/site" "$work/first"
build "$kept/site"
diff -r "$work/first" "$kept/site"

NODE_PATH="$work/npm/node_modules" node tests/site/look.cjs "$kept/site" "$kept/pictures" "$(command -v chromium)"
