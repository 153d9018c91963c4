#!/usr/bin/env bash
# Locks real servers of npm and PyPI and checks them again: two runs of one version must not differ in anything.
# Servers and versions stand in tests/drift/servers.tsv: lines `name environment command`, separated by tabs (`-` is no
# environment, DIR a directory of its own). Needs node with npm, uv or python3 with venv, and a network. No accounts: keys
# are dummies. Left out is mcp-shell-server 1.1.14: its description names a set in another order at every start, which is
# a difference in what the model reads (D010) and is told as one. Fails where two runs differ; where servers are named, also where one of them does not answer.
#
#   tests/drift.sh            all of them: 33 servers, a quarter of an hour with an empty cache
#   tests/drift.sh NAME…      these
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
mcpol=${MCPOL:-${CARGO_TARGET_DIR:-$top/target}/debug/mcpol}
[ -x "$mcpol" ] || (cd "$top" && cargo build --quiet) || exit 1
work=${DRIFT_DIR:-$(mktemp -d)}
[ -n "${DRIFT_DIR:-}" ] || trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir -p "$work/home" "$work/dir"
export npm_config_cache=${npm_config_cache:-$work/npm} UV_CACHE_DIR=${UV_CACHE_DIR:-$work/uv}

# The servers that are asked for; a name that is not in the list is a mistake of whoever asks.
for name in "$@"; do
  grep -q "^$name	" "$here/drift/servers.tsv" || { echo "no server \`$name\` in tests/drift/servers.tsv" >&2; exit 2; }
done
wanted() {
  while IFS=$'\t' read -r name environment command; do
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    printf '%s\t%s\t%s\n' "$name" "$environment" "$command"
  done <"$here/drift/servers.tsv"
}
if ! command -v uvx >/dev/null && wanted "$@" | grep -q '	uvx '; then
  python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet uv || exit 1
  PATH=$work/venv/bin:$PATH
fi

same=0 different=0 silent=0
while IFS=$'\t' read -r name environment command; do
  options=(--env npm_config_cache --env UV_CACHE_DIR --name "$name" --timeout 240)
  [ "$environment" != - ] || environment=
  for pair in $environment; do options+=(--env "$pair"); done
  read -r -a argv <<<"${command//DIR/$work/dir}"
  lock=$work/$name.lock log=$work/$name.log
  if ! "$mcpol" lock --force --lock "$lock" "${options[@]}" -- "${argv[@]}" >"$log" 2>&1 </dev/null; then
    echo "silent     $name: $(grep -m1 -E 'error:' "$log")"
    silent=$((silent + 1))
  elif CI='' "$mcpol" check --lock "$lock" --fail-on note "${options[@]}" -- "${argv[@]}" >"$log" 2>&1 </dev/null; then
    echo "same       $name: $(tail -n 1 "$log")"
    same=$((same + 1))
  else
    echo "DIFFERENT  $name"
    cat "$log"
    different=$((different + 1))
  fi
done < <(wanted "$@")
echo "$same the same, $different different, $silent that did not answer"
[ "$different" = 0 ] && { [ $# -eq 0 ] || [ "$silent" = 0 ]; }
