#!/usr/bin/env bash
# Puts `mcpol enforce` between independent clients and real servers of npm and PyPI, over stdio: the Inspector's command
# line and a client written with the official Rust SDK list, call, and try what the policy hides. Then uses everything
# that server-everything offers, directly and through the gateway, and compares every message. Last, says things that a
# server of the official Python SDK and the gateway might read differently.
#
# Needs node with npm, python3 with venv, git, cargo, and a network for the first run. No accounts.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
real=$here/.real
target=${CARGO_TARGET_DIR:-$top/target}

# shellcheck source=tests/real/install.sh
. "$here/real/install.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MCPOL_STATE_DIR=$work/state

(cd "$top" && cargo build --quiet --bin mcpol --example official_client)
mcpol=$target/debug/mcpol
official=$target/debug/examples/official_client

install
npm_packages "$here/real-gateway" "$real/gateway"
python_sdk=mcp==2.3.0
if [ "$(cat "$real/python-sdk/version" 2>/dev/null)" != "$python_sdk" ]; then
  echo "installing $python_sdk"
  uv venv --quiet --clear "$real/python-sdk"
  uv pip install --quiet --python "$real/python-sdk/bin/python" --exclude-newer "$newest" "$python_sdk"
  echo "$python_sdk" >"$real/python-sdk/version"
fi
# The Inspector wants a newer node than some systems have.
node=$real/gateway/node_modules/node/bin/node
inspector=$real/gateway/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js

inspect() {
  local way=$1
  shift
  MCP_INSPECTOR_SECRET_STORE=memory "$node" "$inspector" --cli --config "$work/clients.json" --server "$way" "$@"
}

# A server with the policy that gen-policy writes for it, but for one tool that is left out. Both clients list, call one
# tool, and try the one that is left out; the Inspector gets the same answer as without the gateway, which is a success
# unless `may_fail` says that this machine may lack something:  through NAME TOOL ARGUMENTS HIDDEN COMMAND...
may_fail=no
through() {
  local name=$1 tool=$2 arguments=$3 hidden=$4 policy=$work/$1.policy.json
  shift 4
  "$mcpol" gen-policy --quiet --except "$hidden" -o "$policy" -- "$@" 2>"$work/stderr" ||
    { cat "$work/stderr" >&2; fail "$name: gen-policy"; }
  local gateway=("$mcpol" enforce --policy "$policy" --name "$name" -- "$@")

  python3 - $# "$@" "${gateway[@]}" >"$work/clients.json" <<'PY'
import json, sys
count, words = int(sys.argv[1]), sys.argv[2:]
server, gateway = words[:count], words[count:]
ways = {"direct": server, "gateway": gateway}
print(json.dumps({"mcpServers": {way: {"command": words[0], "args": words[1:]} for way, words in ways.items()}}))
PY
  inspect gateway --method tools/list >"$work/list.json" 2>"$work/stderr" || { cat "$work/stderr" >&2; fail "$name: the Inspector cannot list"; }
  python3 - "$work/list.json" "$tool" "$hidden" <<'PY' || fail "$name: the Inspector sees other tools"
import json, sys
names = [tool["name"] for tool in json.load(open(sys.argv[1]))["tools"]]
assert sys.argv[2] in names and sys.argv[3] not in names, names
PY
  local pairs=()
  mapfile -t pairs < <(python3 -c 'import json, sys
for name, value in json.loads(sys.argv[1]).items():
    print(f"{name}={value if isinstance(value, str) else json.dumps(value)}")' "$arguments")
  local way
  for way in direct gateway; do
    inspect "$way" --method tools/call --tool-name "$tool" ${pairs[@]:+--tool-arg "${pairs[@]}"} \
      >"$work/$way.json" 2>"$work/stderr" && continue
    [ "$may_fail" = yes ] || { cat "$work/stderr" "$work/$way.json" >&2; fail "$name, $way: the Inspector cannot call $tool"; }
  done
  [ -s "$work/direct.json" ] && cmp "$work/direct.json" "$work/gateway.json" ||
    fail "$name: $tool answers otherwise through the gateway"
  if inspect gateway --method tools/call --tool-name "$hidden" >"$work/result.json" 2>"$work/stderr"; then
    cat "$work/result.json" >&2
    fail "$name: $hidden answered the Inspector"
  fi

  local said
  said=$("$official" "$tool" "$arguments" "$hidden" "${gateway[@]}" 2>"$work/stderr") ||
    { cat "$work/stderr" >&2; fail "$name: the official client"; }
  grep -q '"event":"decision".*"tool":"'"$hidden"'","verdict":"deny"' "$MCPOL_STATE_DIR/audit.refused.jsonl" ||
    fail "$name: no refusal of $hidden in the log"
  printf '  %-12s %s\n' "$name" "$said"
}

cd "$real"
npm=node_modules/.bin
mkdir -p "$work/files" "$work/repository"
echo hello >"$work/files/a.txt"
git init --quiet "$work/repository"
export MEMORY_FILE_PATH=$work/graph.jsonl

echo "through $("$mcpol" --version)"
through everything echo '{"message":"hi"}' get-env "$npm/mcp-server-everything"
through filesystem read_text_file "{\"path\":\"$work/files/a.txt\"}" write_file "$npm/mcp-server-filesystem" "$work/files"
through memory search_nodes '{"query":"a"}' read_graph "$npm/mcp-server-memory"
through git git_status "{\"repo_path\":\"$work/repository\"}" git_log "$real/uv-bin/mcp-server-git"
through time convert_time '{"source_timezone":"UTC","time":"12:00","target_timezone":"Asia/Tokyo"}' get_current_time \
  "$real/uv-bin/mcp-server-time" --local-timezone UTC
# Where there is no browser the answer says so, and comes from the server all the same.
may_fail=yes
through playwright browser_close '{}' browser_navigate "$npm/playwright-mcp"
"$mcpol" audit verify >/dev/null || fail "the audit log does not hold"

echo "everything, directly and through the gateway"
cat >"$work/open.json" <<'JSON'
{"version": "1", "default": "allow", "all_tools": {"limits": [{"counter": "calls", "window": "day", "max": 100000, "scope": "grant"}]}, "tools": {}}
JSON
# What no revision knows is refused by the gateway itself unless it is told otherwise, and in other words.
python3 "$here/real/both_ways.py" "$mcpol" enforce --policy "$work/open.json" --unknown-methods forward -- "$npm/mcp-server-everything" stdio ||
  fail "the gateway shows"

echo "talking past the gateway to the official Python SDK"
python3 "$here/real/talk_past.py" "$real/python-sdk/bin/python" "$mcpol" || fail "the server did what the policy forbids"
