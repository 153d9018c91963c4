#!/usr/bin/env bash
# Tries what docs/ci.md says, word for word: the workflow with the GitHub Action, the two lines without it, GitLab's job, and both
# forms of the pre-commit hook, on a sample repository with five servers as they were reviewed, and then with all five as a later
# version really is (tests/fixtures/drift). Needs python3 with venv, git, and a network for pre-commit.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
mcpol=${MCPOL:-${CARGO_TARGET_DIR:-$top/target}/debug/mcpol}
[ -x "$mcpol" ] || (cd "$top" && cargo build --quiet)
# Every one of them fails a check by itself.
servers=(everything filesystem github memory tavily)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'pre-commit==4.3.0'
python=$work/venv/bin/python

# Installing takes the binary under test: a `cargo` that does this and nothing else. Both the action and pre-commit, which
# builds the hook of a repository with it, must ask for what is right.
mkdir "$work/bin" "$work/cargo" "$work/home"
ln -s "$(command -v git)" "$work/bin/git"
cat >"$work/cargo/cargo" <<CARGO
#!/usr/bin/env bash
case "\$*" in
  --version) echo "cargo 1.95.0" ;;
  "install --locked --version =0.1.0 mcpol" | "install --locked --version 0.1.0 mcpol") ln -sf "$mcpol" "$work/cargo/mcpol" ;;
  "install --bins --root "*" --path .") mkdir -p "\$4/bin" && ln -sf "$mcpol" "\$4/bin/mcpol" ;;
  *) echo "unexpected: cargo \$*" >&2; exit 1 ;;
esac
CARGO
chmod +x "$work/cargo/cargo"

# Runs a command in the sample repository as CI would: name, expected exit code, command.
run() {
  local name=$1 expected=$2 code=0
  shift 2
  rm -f "$work/cargo/mcpol" mcpol.sarif mcpol.md mcpol.xml
  : >"$work/output" && : >"$work/summary"
  env -i PATH="$work/cargo:$work/venv/bin:$PATH" HOME="$work/home" CI=true GITHUB_OUTPUT="$work/output" \
    GITHUB_STEP_SUMMARY="$work/summary" "$@" >"$work/log" 2>&1 || code=$?
  [ "$code" = "$expected" ] || { cat "$work/log" >&2; fail "$name: exit code $code, not $expected"; }
  echo "ok: $name"
}
runner() { local name=$1 expected=$2; shift 2; run "$name" "$expected" "$python" "$here/action/runner.py" "$@"; }

# All five drifts are told, in every form: annotations, summary, comment and SARIF file.
told() {
  for server in "${servers[@]}"; do
    grep -q "($server)" "$work/log" || { cat "$work/log" >&2; fail "$1: no annotation of $server"; }
    grep -q "$server" "$work/summary" || fail "$1: no $server in the summary"
  done
  cmp -s mcpol.md "$work/summary" || fail "$1: the comment is not the summary"
  grep -qx "exit-code=1" "$work/output" || fail "$1: the output \`exit-code\`"
  "$python" - "${servers[@]}" <<'PYTHON' || fail "$1: the SARIF file"
import json, sys
run = json.load(open("mcpol.sarif"))["runs"][0]
names = {result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].split("/")[0] for result in run["results"]}
assert set(sys.argv[1:]) <= names, names
for result in run["results"]:
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["id"] == result["ruleId"] and rule["defaultConfiguration"]["level"] == result["level"], result
PYTHON
}

# The hook in one of its two forms: what it says of all files.
hook() {
  "$python" "$here/action/runner.py" hooks "$1" |
    sed -e "s#https://github.com/OWNER/mcpol#file://$work/hooks#" >.pre-commit-config.yaml
  git add -A
  [ "$1" = repo ] || ln -sf "$mcpol" "$work/bin/mcpol"
  run "$2" "$3" env PATH="$work/bin:$work/cargo:$work/venv/bin:$PATH" pre-commit run
  grep -q "mcpol check\.*\(Passed\|Failed\)" "$work/log" || { cat "$work/log" >&2; fail "$2: the hook did not run"; }
}

# The repository that the hook is taken from.
git init -q "$work/hooks"
cp "$top/.pre-commit-hooks.yaml" "$top/Cargo.toml" "$work/hooks"
git -C "$work/hooks" add -A
git -C "$work/hooks" -c user.name=t -c user.email=t@example.com commit -q -m hooks
git -C "$work/hooks" tag v0.1.0

mkdir "$work/repo" && cd "$work/repo" && git init -q
git config user.name t && git config user.email t@example.com
runner "without a lock nothing is clean" 2 job servers

# Five servers as they were reviewed, each with a policy of its own name.
mkdir lists mcp
policies=()
for server in "${servers[@]}"; do
  cp "$here/fixtures/drift/$server-old.json" "lists/$server.json"
  "$mcpol" gen-policy --tools "lists/$server.json" >"$server.policy.json" 2>/dev/null
  policies+=(--policy "$server=$server.policy.json")
done
"$python" - "${servers[@]}" <<'PYTHON' >.mcp.json
import json, sys
servers = {name: {"command": "python3", "args": [f"{sys.argv[0]}", f"lists/{name}.json"]} for name in sys.argv[1:]}
print(json.dumps({"mcpServers": servers}, indent=2))
PYTHON
cp "$here/action/replay.py" . && sed -i 's/"-"/"replay.py"/' .mcp.json
"$mcpol" lock --config .mcp.json --yes "${policies[@]}" 2>/dev/null
"$mcpol" scan --config .mcp.json --yes --save mcp --format ndjson >/dev/null 2>&1
git add -A && git commit -q -m reviewed

runner "no drift, servers" 0 job servers
grep -q 'no findings' "$work/summary" || fail "no drift: the summary"
"$python" -c 'import json; assert json.load(open("mcpol.sarif"))["runs"][0]["results"] == []' || fail "no drift: the SARIF file"
runner "no drift, changes" 0 job changes
runner "no drift, two lines" 0 lines
runner "no drift, GitLab" 0 gitlab
for form in local repo; do hook "$form" "no drift, hook ($form)" 0; done
git add -A && git commit -q -m hook

# Each drift alone is told, and no other, in every form.
for server in "${servers[@]}"; do
  cp "$here/fixtures/drift/$server-new.json" "lists/$server.json"
  runner "$server alone, servers" 1 job servers
  runner "$server alone, two lines" 1 lines
  "$mcpol" scan --config .mcp.json --yes --save mcp --format ndjson >/dev/null 2>&1
  runner "$server alone, changes" 1 job changes
  for other in "${servers[@]}"; do
    count=$(grep -c "($other)" "$work/log" || true)
    [ $((count > 0)) = $([ "$other" = "$server" ] && echo 1 || echo 0) ] || fail "$server alone: $count annotations of $other"
  done
  runner "$server alone, GitLab" 1 gitlab
  for form in local repo; do hook "$form" "$server alone, hook ($form)" 1; done
  git reset -q --hard
done

# The servers run on a machine where their newer version is.
for server in "${servers[@]}"; do cp "$here/fixtures/drift/$server-new.json" "lists/$server.json"; done
runner "five drifts, servers" 1 job servers
told "five drifts, servers"
runner "five drifts, two lines" 1 lines
runner "nothing of it in the branch" 0 job changes
# A pull request brings the newer lists.
"$mcpol" scan --config .mcp.json --yes --save mcp --format ndjson >/dev/null 2>&1
runner "five drifts, changes" 1 job changes
told "five drifts, changes"
runner "five drifts, GitLab" 1 gitlab
for server in "${servers[@]}"; do grep -q "$server" mcpol.xml || fail "five drifts, GitLab: no $server"; done
for form in local repo; do
  hook "$form" "five drifts, hook ($form)" 1
  for server in "${servers[@]}"; do grep -q "$server" "$work/log" || fail "five drifts, hook: no $server"; done
done

# A pull request brings a policy alone: whatever it is called, the hook sees it.
git checkout -q -- mcp lists
echo '{"version": "1", "default": "allow", "tools": {"nope": {}}}' >time.policy.json
hook local "a policy that is weaker, hook" 1
grep -q P002 "$work/log" || fail "a policy that is weaker: P002"
git checkout -q -- time.policy.json

# An input is no script, and what would check nothing is an error.
inputs='{"arguments": "$(touch injected); touch injected"}'
code='import json, os, sys; sys.path.insert(0, sys.argv[1]); import runner; sys.exit(runner.action({"with": json.loads(sys.argv[2])}, dict(os.environ)))'
ln -sf "$mcpol" "$work/bin/mcpol"
run "an input is no script" 2 env PATH="$work/bin:$PATH" "$python" -c "$code" "$here/action" "$inputs"
[ ! -e injected ] || fail "an input was run"
both='{"arguments": "--offline", "run-servers": true}'
run "offline and run-servers" 2 env PATH="$work/bin:$PATH" "$python" -c "$code" "$here/action" "$both"
"$mcpol" lock --force --config .mcp.json --yes 2>/dev/null
run "a lock compared with itself" 4 env PATH="$work/bin:$PATH" "$python" -c "$code" "$here/action" '{"arguments": "--offline"}'
