#!/usr/bin/env bash
# Measures the policies that `mcpol gen-policy` recommends (docs/policy.md) on AgentDojo: 97 tasks of an agent and 929 pairs
# of a task and an attack, replayed through `mcpol enforce` with the real results of the benchmark's tools. No model.
#
#   tests/agentdojo.sh                             everything; half an hour
#   tests/agentdojo.sh banking --policy strict --why
#   tests/agentdojo.sh --help
#
# Needs Python 3.11 or newer with venv, and a network for the first run: installs agentdojo (MIT), pinned, with what it
# needs (300 MB) into tests/.agentdojo.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
venv=$here/.agentdojo
mcpol=${MCPOL:-${CARGO_TARGET_DIR:-$top/target}/debug/mcpol}

if ! cmp -s "$here/agentdojo/requirements.txt" "$venv/requirements.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --requirement "$here/agentdojo/requirements.txt"
  cp "$here/agentdojo/requirements.txt" "$venv/requirements.txt"
fi
[ -x "$mcpol" ] || (cd "$top" && cargo build --quiet)

exec "$venv/bin/python" "$here/agentdojo/replay.py" --mcpol "$mcpol" "$@"
