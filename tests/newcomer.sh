#!/usr/bin/env bash
# Plays the newcomer: a home with the files of five clients in four syntaxes and eleven servers of npm and PyPI, one of
# them behind a URL that wants a token. Installs mcpol from its wheel, looks at them, puts the gateway in front of all, makes
# a call through each entry
# as its client would, takes the gateway away, and compares every byte. Counts the commands that a person types, and says
# how long they took.
#
# Needs node with npm, python3 (3.11) with venv, and a network for the first run. No accounts: every key is a dummy.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
real=$here/.real

# shellcheck source=tests/real/install.sh
. "$here/real/install.sh"
# shellcheck source=tests/install/wheel.sh
. "$here/install/wheel.sh"
install
if [ ! -d "$real/pyyaml/yaml" ]; then
  uv pip install --quiet --target "$real/pyyaml" --python "$real/venv/bin/python" pyyaml==6.0.3
fi

work=$(mktemp -d)
started=
trap '[ -z "$started" ] || kill "$started" 2>/dev/null || true; rm -rf "$work"' EXIT
wheel "$work/wheels" "$real/maturin" >/dev/null
export HOME=$work/home PYTHONPATH=$real/pyyaml
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_DATA_HOME MCPOL_STATE MCPOL_STATE_DIR MCPOL_CONFIG_DIR
mkdir -p "$work/bin" "$work/files" "$HOME"
echo hello >"$work/files/a.txt"
git init --quiet "$work/repository"
export PATH=$work/bin:$PATH

# Commands run where npx finds the pinned packages.
cd "$real"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
STREAMABLE_HTTP=true HOST=127.0.0.1 PORT=$port STREAMABLE_HTTP_AUTH_TOKEN=dummy-token-of-gitlab GITLAB_PERSONAL_ACCESS_TOKEN=dummy \
  GITLAB_API_URL=http://127.0.0.1:1/api/v4 node node_modules/.bin/mcp-gitlab >"$work/gitlab.log" 2>&1 &
started=$!
for _ in $(seq 1200); do
  (: >"/dev/tcp/localhost/$port") 2>/dev/null && break
  sleep 0.1
done

mkdir -p "$HOME/.cursor" "$HOME/.config/Code/User" "$HOME/.codex" "$HOME/.config/goose" "$HOME/.config/zed"
cat >"$HOME/.cursor/mcp.json" <<JSON
{"mcpServers":{"everything":{"command":"npx","args":["-y","@modelcontextprotocol/server-everything@2026.8.31"]},
"filesystem":{"command":"npx","args":["-y","@modelcontextprotocol/server-filesystem@2026.8.31","$work/files"]},
  "time":   {"command": "uvx", "args": ["mcp-server-time@2026.10.19", "--local-timezone", "UTC"]}}}
JSON
printf '// Servers of mine\r\n{\r\n  "inputs": [],\r\n  "servers": {\r\n    "gitlab": {\r\n      "type": "http", // since spring\r\n      "url": "http://localhost:%s/mcp",\r\n      "headers": {\r\n        "Authorization": "Bearer dummy-token-of-gitlab"\r\n      },\r\n    },\r\n    "memory": {\r\n      "command": "npx",\r\n      "args": [\r\n        "-y",\r\n        "@modelcontextprotocol/server-memory@2026.8.31", // pinned\r\n      ],\r\n      "env": { "MEMORY_FILE_PATH": "%s/graph.jsonl" },\r\n    },\r\n  },\r\n}\r\n' \
  "$port" "$work" >"$HOME/.config/Code/User/mcp.json"
cat >"$HOME/.codex/config.toml" <<TOML
model = "x"   # the one of every day

[mcp_servers.git]
command = "uvx"
args = ["mcp-server-git@2026.10.19"] # local

[mcp_servers.github]
command = 'npx'
args = [
  '-y', # do not ask
  '@modelcontextprotocol/server-github@2025.4.8',
]
[mcp_servers.github.env]
GITHUB_PERSONAL_ACCESS_TOKEN = "dummy"

[tui]
notifications = true
TOML
cat >"$HOME/.config/goose/config.yaml" <<YAML
# Goose
GOOSE_MODE: auto
extensions:
  developer:
    type: builtin
    enabled: true
  fetch:            # pages
    type: stdio
    cmd: uvx
    args:
      - mcp-server-fetch@2026.10.24
      - --ignore-robots-txt
    enabled: true
  grafana:
    type: stdio
    cmd: uvx
    args: [mcp-grafana@2.1.1, --transport, stdio]
    envs: {GRAFANA_URL: "http://127.0.0.1:1", GRAFANA_SERVICE_ACCOUNT_TOKEN: dummy}
    enabled: true
YAML
cat >"$HOME/.config/zed/settings.json" <<JSON
{
  "theme": "One Dark",
  "context_servers": {
    "browser": { "source": "custom", "command": "npx", "args": ["-y", "@playwright/mcp@0.0.83"], "env": {} },
    /* the edge */
    "cloudflare": {
      "source": "custom",
      "command": "npx",
      "args": ["-y", "@cloudflare/mcp-server-cloudflare@0.2.0", "run", "00000000000000000000000000000000"],
      "env": { "CLOUDFLARE_API_TOKEN": "dummy" },
    },
  },
}
JSON
files=(.cursor/mcp.json .config/Code/User/mcp.json .codex/config.toml .config/goose/config.yaml .config/zed/settings.json)
for file in "${files[@]}"; do
  mkdir -p "$work/before/$(dirname "$file")"
  cp -p "$HOME/$file" "$work/before/$file"
done

typed=0 spent=0
types() {
  local from
  from=$(date +%s)
  typed=$((typed + 1))
  echo "\$ $*"
  "$@" >"$work/out" 2>"$work/err" || { cat "$work/out" "$work/err" >&2; fail "$*"; }
  spent=$((spent + $(date +%s) - from))
}

# What `uv tool install mcpol` is once it is published: tools and links in their own places, and not those of the servers.
types env UV_TOOL_DIR="$work/tools" UV_TOOL_BIN_DIR="$work/bin" uv tool install --quiet --offline --find-links "$work/wheels" mcpol
mcpol=$(readlink -f "$work/bin/mcpol")
echo "a newcomer with $(mcpol --version)"
types mcpol scan --discover --yes
types mcpol wrap --yes
grep -q 'wrapped 11 servers in 5 files' "$work/err" || { cat "$work/out" "$work/err" >&2; fail "not all are wrapped"; }
! grep -rq 'dummy-token-of-gitlab' "$work/out" "$work/err" "$HOME/.config/mcpol/"*/*.policy.json "$HOME/.config/mcpol/"*/*.lock ||
  fail "a secret was shown or written into a policy or lock"

call() { "$real/venv/bin/python" "$here/newcomer/call.py" "$HOME/$1" "$mcpol" || fail "$1: no call through it"; }
call .cursor/mcp.json <<CALLS
everything echo {"message":"hi"}
filesystem list_allowed_directories {}
time get_current_time {"timezone":"UTC"}
CALLS
call .config/Code/User/mcp.json <<CALLS
gitlab list_projects {}
memory search_nodes {"query":"a"}
CALLS
call .codex/config.toml <<CALLS
git git_status {"repo_path":"$work/repository"}
github search_repositories {"query":"mcp"}
CALLS
call .config/goose/config.yaml <<CALLS
fetch fetch {"url":"http://127.0.0.1:1/"}
grafana list_datasources {}
CALLS
call .config/zed/settings.json <<CALLS
browser browser_close {}
cloudflare worker_list {}
CALLS
grep -q '"event":"decision"' "$HOME/.local/state/mcpol/audit.jsonl" || fail "no decision in the log"

types mcpol unwrap --yes
for file in "${files[@]}"; do
  cmp "$HOME/$file" "$work/before/$file" || fail "$file is not as it was"
done
[ "$typed" -le 4 ] || fail "$typed commands"
echo "eleven servers of five clients held and given back: $typed commands, $spent s, every byte as it was"
