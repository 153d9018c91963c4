#!/usr/bin/env bash
# Measures `mcpol lock` and `mcpol check` on a made-up registry: 40,000 servers with 500,000 tools unless told otherwise.
# Prints seconds and peak memory of each run. Needs python3 and a release build.
#
#   tests/scale.sh [SERVERS [TOOLS]]
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
mcpol=${MCPOL:-${CARGO_TARGET_DIR:-$top/target}/release/mcpol}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 - "${1:-40000}" "${2:-500000}" "$work" <<'PYTHON'
import json, random, sys
servers, tools, work = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
random.seed(1)
verbs = ["get", "list", "create", "update", "delete", "run", "send", "search"]
nouns = ["ticket", "page", "file", "branch", "invoice", "event", "message", "report"]
with open(f"{work}/old.ndjson", "w") as old, open(f"{work}/new.ndjson", "w") as new:
    left = tools
    for at in range(servers):
        count = left // (servers - at)
        left -= count
        listed = []
        for n in range(count):
            verb, noun = random.choice(verbs), random.choice(nouns)
            properties = {f"{noun}_{word}": {"type": "string", "description": f"The {word} of the {noun}, as it is shown to people."}
                          for word in random.sample(["id", "name", "owner", "state", "label", "note"], 4)}
            listed.append({"name": f"{verb}_{noun}_{n}", "description": f"{verb.capitalize()} one {noun} of the project and return what is known about it.",
                           "inputSchema": {"type": "object", "properties": properties, "required": sorted(properties)[:2]}})
        line = {"slug": f"server-{at:05}", "tools": listed}
        old.write(json.dumps(line) + "\n")
        if at % 1000 == 0 and listed:
            listed[0]["inputSchema"]["properties"]["script"] = {"type": "string"}
        new.write(json.dumps(line) + "\n")
PYTHON
ls -l "$work" | awk 'NR > 1 { printf "%s %d MiB\n", $NF, $5 / 1048576 }'

# What is run, the exit code that it must have, and the time and memory that it took.
measure() {
  local name=$1 expected=$2
  shift 2
  python3 - "$name" "$expected" "$@" <<'PYTHON'
import resource, subprocess, sys, time
name, expected, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
start = time.monotonic()
done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
took = time.monotonic() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN)
last = done.stdout.strip().splitlines()[-1:]
print(f"{name}: {took:.1f} s ({peak.ru_utime:.1f} s of one processor), {peak.ru_maxrss // 1024} MiB, exit {done.returncode}: {' '.join(last)}")
sys.exit(done.returncode != expected)
PYTHON
}
cd "$work"
measure "lock" 0 "$mcpol" lock --tools old.ndjson
measure "check, nothing changed" 0 "$mcpol" check --tools old.ndjson
measure "check, one tool in 1,000 servers changed" 1 "$mcpol" check --tools new.ndjson
