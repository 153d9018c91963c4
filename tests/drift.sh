#!/usr/bin/env bash
# Locks real servers of npm and PyPI and checks them again: two runs of one version must not differ in anything.
# Reads lines `name environment command`, separated by tabs (`-` is no environment), from tests/drift/servers.tsv; versions are those that the
# registries have today, the same in both runs. Needs node with npm, uv, and a network. No accounts: keys are dummies.
#
#   tests/drift.sh [NAME…]
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
mcpol=${MCPOL:-${CARGO_TARGET_DIR:-$top/target}/debug/mcpol}
work=${DRIFT_DIR:-$(mktemp -d)}
mkdir -p "$work/home" "$work/dir"
export npm_config_cache=${npm_config_cache:-$work/npm} UV_CACHE_DIR=${UV_CACHE_DIR:-$work/uv}
same=0 different=0 silent=0

while IFS=$'\t' read -r name environment command; do
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  options=(--env npm_config_cache --env UV_CACHE_DIR)
  [ "$environment" != - ] || environment=
  for pair in $environment; do options+=(--env "$pair"); done
  read -r -a argv <<<"${command//DIR/$work/dir}"
  lock=$work/$name.lock
  if ! "$mcpol" lock --force --lock "$lock" --name "$name" --timeout 240 "${options[@]}" -- "${argv[@]}" >"$work/$name.log" 2>&1 </dev/null; then
    echo "silent     $name: $(grep -m1 -E 'error:' "$work/$name.log")"
    silent=$((silent + 1))
  elif CI='' "$mcpol" check --lock "$lock" --fail-on note --name "$name" --timeout 240 "${options[@]}" -- "${argv[@]}" >"$work/$name.log" 2>&1 </dev/null; then
    echo "same       $name: $(tail -n 1 "$work/$name.log")"
    same=$((same + 1))
  else
    echo "DIFFERENT  $name"
    cat "$work/$name.log"
    different=$((different + 1))
  fi
done <"$here/drift/servers.tsv"
echo "$same the same, $different different, $silent that did not answer"
[ "$different" = 0 ]
