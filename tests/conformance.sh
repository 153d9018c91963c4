#!/usr/bin/env bash
# The official conformance suite of MCP, at its two current revisions, against servers directly and through
# `mcpol enforce --listen`: every check must come out the same. tests/conformance/table.mjs compares and names the few
# that the gateway improves.
#
#   tests/conformance.sh             all of it, in about a minute
#   tests/conformance.sh --direct    only the servers themselves: are the examples complete?
#
# Installs the suite, one server and, where node is older than 22, a newer one, pinned, into tests/.conformance.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
tools=$here/.conformance
binaries=${CARGO_TARGET_DIR:-$top/target}/debug
mcpol=${MCPOL:-$binaries/mcpol}
only_direct=${1:-}

suite=@modelcontextprotocol/conformance@0.2.0-alpha.12
everything=@modelcontextprotocol/server-everything@2026.8.31
newer_node=node@22.23.3
versions=(2025-11-25 2026-07-28)
# The suite runs extensions only when they are named. It skips tasks-status-notifications itself.
extensions=(lifecycle capability-negotiation wire-fields request-state-removal mrtr-input request-headers
  dispatch-and-envelope required-task-error mrtr-composition)

work=$(mktemp -d)
started=()
cleanup() {
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

fail() {
  echo "FAILED: $*" >&2
  for log in "$work"/*.log; do [ -s "$log" ] && sed "s|^|  ${log##*/}: |" "$log" | tail -20 >&2; done
  exit 1
}

packages=("$suite" "$everything")
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 22 ] || packages+=("$newer_node")
if [ "$(cat "$tools/installed" 2>/dev/null)" != "${packages[*]}" ]; then
  echo "installing ${packages[*]}"
  mkdir -p "$tools"
  npm install --prefix "$tools" --no-save --no-audit --no-fund --loglevel=error "${packages[@]}" >"$work/npm.log" 2>&1 ||
    fail "npm install"
  echo "${packages[*]}" >"$tools/installed"
fi
node=node
[ ! -x "$tools/node_modules/node/bin/node" ] || node=$tools/node_modules/node/bin/node

# With MCPOL another binary is looked at, and nothing is built.
[ -n "${MCPOL:-}" ] || (cd "$top" && cargo build --quiet --bin mcpol --example full_server)

free_port() { "$node" -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }

# Until somebody answers on a port: at most two minutes.
wait_for() {
  for _ in $(seq 2400); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    sleep 0.05
  done
  fail "nothing listens on port $1 ($2)"
}

# Starts something that listens on a port of its own, which is left in $port. usage: start NAME COMMAND with @port@ in it
start() {
  local name=$1
  shift
  port=$(free_port)
  # The pipe stays open as long as this script lives.
  "${@//@port@/$port}" <"$work/alive" >"$work/$name.log" 2>&1 &
  started+=($!)
  wait_for "$port" "$name"
}

# usage: suite NAME PORT WHAT…
suite() {
  local name=$1 port=$2
  shift 2
  # Its exit code tells of failed scenarios: the table does that, and knows which.
  "$node" "$tools/node_modules/@modelcontextprotocol/conformance/dist/index.js" server --url "http://127.0.0.1:$port/mcp" \
    -o "$work/results/$name" "$@" >>"$work/$name.log" 2>&1 || true
}

# Runs every scenario of one revision. usage: run NAME VERSION PORT
run() {
  suite "$1" "$3" --suite all --spec-version "$2"
  [ -d "$work/results/$1" ] || fail "the suite did not run: $1"
}

# Runs the scenarios of the tasks extension, which mostly wait, at once. usage: run_extensions NAME PORT
run_extensions() {
  local waiting=()
  for extension in "${extensions[@]}"; do
    suite "$1" "$2" --scenario "tasks-$extension" &
    waiting+=($!)
  done
  wait "${waiting[@]}"
}

mkfifo "$work/alive"
exec 9<>"$work/alive"
# Over HTTP a client's roots are the operator's, unless the policy takes the client's.
echo '{"version":"1","default":"allow","client":{"roots":"allow"}}' >"$work/policy.json"
# One mind for all sessions; no file is left behind.
gateway=("$mcpol" enforce --policy "$work/policy.json" --state memory: --audit none --listen 127.0.0.1:@port@)

declare -A at
for era in legacy modern; do
  start "$era" "$binaries/examples/full_server" --era "$era" --port @port@
  at[$era-direct]=$port
done
start everything env PORT=@port@ "$node" "$tools/node_modules/@modelcontextprotocol/server-everything/dist/index.js" streamableHttp
at[everything-direct]=$port
servers=(legacy modern everything)
sides=(direct)
if [ "$only_direct" != --direct ]; then
  sides+=(gateway)
  for server in "${servers[@]}"; do
    start "$server-gateway" "${gateway[@]}" --upstream "http://127.0.0.1:${at[$server-direct]}/mcp"
    at[$server-gateway]=$port
  done
fi

for version in "${versions[@]}"; do
  for side in "${sides[@]}"; do
    for server in "${servers[@]}"; do run "$server-$version-$side" "$version" "${at[$server-$side]}"; done
  done
done
for side in "${sides[@]}"; do run_extensions "modern-2026-07-28-$side" "${at[modern-$side]}"; done
# Without the gateway both columns are the server's own.
[ "$only_direct" != --direct ] || for folder in "$work"/results/*-direct; do cp -r "$folder" "${folder%direct}gateway"; done

"$node" "$here/conformance/table.mjs" "$work/results" \
  legacy:full@2025-11-25 modern:foreign@2025-11-25 everything:partial@2025-11-25 \
  legacy:foreign@2026-07-28 modern:full@2026-07-28 everything:foreign@2026-07-28
