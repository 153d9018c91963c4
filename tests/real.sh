#!/usr/bin/env bash
# Scans real servers of npm and PyPI, over stdio and over HTTP where they offer it, and compares what mcpol says with
# the records in catalog/. Installs them, pinned, into tests/.real; fails where one is missing.
#
#   tests/real.sh             check
#   tests/real.sh --update    check, and write catalog/ anew
#
# Needs node with npm, python3 with venv, and a network for the first run. No accounts: every key is a dummy.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
real=$here/.real
mcpol=${MCPOL:-${CARGO_TARGET_DIR:-$top/target}/debug/mcpol}
update=${1:-}

# shellcheck source=tests/real/install.sh
. "$here/real/install.sh"

[ -x "$mcpol" ] || (cd "$top" && cargo build --quiet)
started=()
work=$(mktemp -d)
cleanup() {
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

# How many tools a record or a scan holds.
tools() {
  python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["tools"]))' "$1"
}

# Scans one server twice and compares both with the catalogue:  stdio RECORD TOOLS [scan options] -- COMMAND
# Commands run in tests/.real, so that npx finds the pinned packages there.
stdio() {
  local record=$1 count=$2
  shift 2
  for run in one two; do
    (cd "$real" && "$mcpol" scan --format json --save "$work/$run" "$@" >"$work/$record.$run.json" 2>"$work/stderr") ||
      { cat "$work/stderr" >&2; fail "$record: exit $? over stdio"; }
    [ -f "$work/$run/$record.json" ] || fail "$record: no record of that name, but $(ls "$work/$run")"
  done
  cmp "$work/one/$record.json" "$work/two/$record.json" || fail "$record: a second scan differs"
  cmp "$work/$record.one.json" "$work/$record.two.json" || fail "$record: a second report differs"
  [ "$(tools "$work/one/$record.json")" = "$count" ] || fail "$record: $(tools "$work/one/$record.json") tools, expected $count"
  if [ "$update" = --update ]; then
    cp "$work/one/$record.json" "$top/catalog/$record.json"
  fi
  cmp "$work/one/$record.json" "$top/catalog/$record.json" ||
    fail "$record: differs from catalog/$record.json (tests/real.sh --update writes it anew)"
  "$mcpol" scan --format json --tools "$top/catalog/$record.json" --save "$work/again" >/dev/null
  cmp "$work/again/$record.json" "$top/catalog/$record.json" || fail "$record: does not survive being read back"
  printf '  %-24s stdio %4s tools\n' "$record" "$count"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until somebody listens on a port of this machine, for two minutes at most:  listening PORT LOG
listening() {
  for _ in $(seq 1200); do
    (: >"/dev/tcp/localhost/$1") 2>/dev/null && return
    sleep 0.1
  done
  cat "$2" >&2
  fail "nobody listens on port $1"
}

# Scans a server over streamable HTTP and compares its tools with the record made over stdio. DIFFERENT is how many of
# them the server itself declares differently there:  http RECORD DIFFERENT PORT [scan options]
http() {
  local record=$1 different=$2 port=$3
  shift 3
  "$mcpol" scan "http://localhost:$port/mcp" "$@" --name "$record" --format json --save "$work/http" \
    >/dev/null 2>"$work/stderr" || { cat "$work/stderr" >&2; fail "$record: exit $? over HTTP"; }
  python3 - "$work/http/$record.json" "$top/catalog/$record.json" "$different" <<'PY' || fail "$record: other tools over HTTP than over stdio"
import json, sys
over_http, over_stdio = (json.load(open(name))["tools"] for name in sys.argv[1:3])
assert [tool["name"] for tool in over_http] == [tool["name"] for tool in over_stdio]
different = [a["name"] for a, b in zip(over_http, over_stdio) if a != b]
assert len(different) == int(sys.argv[3]), different
PY
  printf '  %-24s HTTP  %4s tools\n' "$record" "$(tools "$work/http/$record.json")"
}

install
echo "scanning with $("$mcpol" --version)"
mkdir -p "$top/catalog"
npm=(npx -y)
stdio server-everything 13 -- "${npm[@]}" @modelcontextprotocol/server-everything@2026.8.31
stdio server-filesystem 14 -- "${npm[@]}" @modelcontextprotocol/server-filesystem@2026.8.31 .
stdio server-memory 9 -- "${npm[@]}" @modelcontextprotocol/server-memory@2026.8.31
stdio server-github 26 --env GITHUB_PERSONAL_ACCESS_TOKEN=dummy -- "${npm[@]}" @modelcontextprotocol/server-github@2025.4.8
stdio playwright-mcp 25 -- "${npm[@]}" @playwright/mcp@0.0.83
stdio mcp-gitlab 118 --env GITLAB_PERSONAL_ACCESS_TOKEN=dummy -- "${npm[@]}" @zereight/mcp-gitlab@2.1.64
stdio mcp-server-cloudflare 89 --env CLOUDFLARE_API_TOKEN=dummy -- \
  "${npm[@]}" @cloudflare/mcp-server-cloudflare@0.2.0 run 00000000000000000000000000000000
stdio mcp-server-time 2 -- uvx mcp-server-time@2026.10.19 --local-timezone UTC
stdio mcp-server-git 12 -- uvx mcp-server-git@2026.10.19
stdio mcp-server-fetch 1 -- uvx mcp-server-fetch@2026.10.24
stdio mcp-grafana 79 --env GRAFANA_URL=http://127.0.0.1:1 --env GRAFANA_SERVICE_ACCOUNT_TOKEN=dummy -- \
  uvx mcp-grafana@2.1.1 --transport stdio

port=$(free_port)
PORT=$port node "$real/node_modules/.bin/mcp-server-everything" streamableHttp >"$work/everything.log" 2>&1 &
started+=($!)
listening "$port" "$work/everything.log"
http server-everything 0 "$port"

port=$(free_port)
node "$real/node_modules/.bin/playwright-mcp" --port "$port" >"$work/playwright.log" 2>&1 &
started+=($!)
listening "$port" "$work/playwright.log"
http playwright-mcp 0 "$port"
# It serves the name `localhost` only: the error must say so.
"$mcpol" scan "http://127.0.0.1:$port/mcp" >/dev/null 2>"$work/stderr" && fail "playwright-mcp: 127.0.0.1 was served"
grep -q 'use `localhost`' "$work/stderr" || { cat "$work/stderr" >&2; fail "playwright-mcp: no hint about localhost"; }

port=$(free_port)
GRAFANA_URL=http://127.0.0.1:1 GRAFANA_SERVICE_ACCOUNT_TOKEN=dummy \
  "$real/uv-bin/mcp-grafana" --transport streamable-http --address "localhost:$port" >"$work/grafana.log" 2>&1 &
started+=($!)
listening "$port" "$work/grafana.log"
http mcp-grafana 0 "$port"

port=$(free_port)
STREAMABLE_HTTP=true HOST=127.0.0.1 PORT=$port STREAMABLE_HTTP_AUTH_TOKEN=dummy-token GITLAB_PERSONAL_ACCESS_TOKEN=dummy \
  node "$real/node_modules/.bin/mcp-gitlab" >"$work/gitlab.log" 2>&1 &
started+=($!)
listening "$port" "$work/gitlab.log"
# Without its token it answers 401: the error must say how to pass one.
"$mcpol" scan "http://localhost:$port/mcp" >/dev/null 2>"$work/stderr" && fail "mcp-gitlab: served without a token"
grep -q -- '--bearer-env' "$work/stderr" || { cat "$work/stderr" >&2; fail "mcp-gitlab: no hint about --bearer-env"; }
# Two of its tools save to a local path only where the client is on the same machine.
MCPOL_TEST_TOKEN=dummy-token http mcp-gitlab 2 "$port" --bearer-env MCPOL_TEST_TOKEN

echo "all $(find "$top/catalog" -name '*.json' | wc -l) records of catalog/ are as scanned"
