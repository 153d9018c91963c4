#!/usr/bin/env bash
# Runs the steps of action.yml as a runner would, on a sample repository: a clean one, one with drift, one without a lock.
# Needs python3 and git.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
mcpol=${MCPOL:-${CARGO_TARGET_DIR:-$top/target}/debug/mcpol}
[ -x "$mcpol" ] || (cd "$top" && cargo build --quiet)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" && ln -s "$mcpol" "$work/bin/mcpol"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# The script of the step with this id, with the indentation of the block taken off.
script_of() {
  python3 - "$top/action.yml" "$1" <<'PYTHON'
import re, sys, textwrap
text, step = open(sys.argv[1], encoding="utf-8").read(), sys.argv[2]
steps = re.split(r"(?m)^    - ", text.split("\n  steps:\n", 1)[1])
found = [part for part in steps if re.search(rf"(?m)^ *id: {re.escape(step)}$", part)]
block = found[0].split("run: |\n", 1)[1]
if re.search(r"(?m)^ *(-  *)?uses:", text):
    sys.exit("the action takes another one: pin it to a commit, and check that here")
if any("${{" in part.split("run: |\n", 1)[-1] for part in steps if "run: |\n" in part):
    sys.exit("an expression inside a script is an injection")
print(textwrap.dedent(block), end="")
PYTHON
}
script_of check >"$work/check.sh"

# Runs the step in a directory: name, expected exit code, then variables.
run() {
  local name=$1 expected=$2 code=0
  shift 2
  : >"$work/output" && : >"$work/summary"
  (cd "$work/repo" && env -i PATH="$work/bin:$PATH" HOME="$work" CI=true GITHUB_OUTPUT="$work/output" \
    GITHUB_STEP_SUMMARY="$work/summary" MCPOL_LOCK=mcpol.lock MCPOL_FAIL_ON=warning MCPOL_BASELINE= \
    MCPOL_RUN_SERVERS=false MCPOL_SARIF=mcpol.sarif MCPOL_ARGUMENTS=--offline "$@" \
    bash --noprofile --norc -e "$work/check.sh") >"$work/log" 2>&1 || code=$?
  [ "$code" = "$expected" ] || { cat "$work/log" >&2; fail "$name: exit code $code, not $expected"; }
  grep -qx "exit-code=$expected" "$work/output" || fail "$name: the output \`exit-code\`"
  echo "ok: $name"
}

mkdir "$work/repo" && cd "$work/repo" && git init -q
cp "$here/fixtures/drift/memory-old.json" "$here/fixtures/drift/memory-new.json" .
run "no lock" 2
"$mcpol" lock --tools memory-old.json 2>/dev/null
run "clean" 0
grep -q 'no findings' "$work/summary" || fail "clean: the summary"
[ "$(grep -c . mcpol.sarif)" -gt 1 ] || fail "clean: a SARIF file without results is one all the same"
run "drift" 1 MCPOL_FAIL_ON=note MCPOL_ARGUMENTS=$'--tools\nmemory-new.json'
grep -q '^::notice ' "$work/log" || fail "drift: annotations"
grep -q '^| note | D0' "$work/summary" || fail "drift: the summary"
python3 -c 'import json, sys; assert json.load(open("mcpol.sarif"))["runs"][0]["results"]' || fail "drift: the SARIF file"
git add mcpol.lock && git -c user.name=t -c user.email=t@example.com commit -q -m lock
run "known drift" 0 MCPOL_FAIL_ON=note MCPOL_BASELINE=HEAD MCPOL_ARGUMENTS=$'--tools\nmemory-new.json'
run "an input is no script" 2 MCPOL_ARGUMENTS='$(touch injected); touch injected'
[ ! -e injected ] || fail "an input was run"
