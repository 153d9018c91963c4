#!/usr/bin/env bash
# Runs every `sh` block of README.md as written, one after the other, in a fresh copy of the repository with an empty
# home: what a newcomer does. (Blocks marked `console` are compared with real output by `cargo test`.)
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

mkdir "$work/home" "$work/mcpol"
(cd "$top" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --no-dereference --parents --target-directory "$work/mcpol")

# Compiled crates are shared with this checkout, so that only the newcomer's own steps take time.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$top/target}
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
export CARGO_INSTALL_ROOT=$work/installed
# Whether the commands work is tried here, not how fast: the optimizer would take longer than all the rest.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256
# A newcomer is a person: with `CI` set, `mcpol check` starts no server unasked.
unset CI
export PATH=$CARGO_INSTALL_ROOT/bin:$PATH HOME=$work/home

blocks=$(awk '/^```sh$/ { inside = 1; next } /^```/ { if (inside) print "#--"; inside = 0 } inside' "$top/README.md")
[ -n "$blocks" ] || { echo "README.md has no sh blocks" >&2; exit 1; }
cd "$work/mcpol"
script=
while IFS= read -r line; do
  if [ "$line" = "#--" ]; then
    printf '\n-- README.md:\n%s' "$script"
    bash -euo pipefail -c "$script" </dev/null
    script=
  else
    script+=$line$'\n'
  fi
done <<<"$blocks"
