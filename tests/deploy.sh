#!/usr/bin/env bash
# Holds what lies in deploy/ to the schemas of those who read it: the unit to systemd's own check, where it is installed, the
# compose file and the manifests to their published schemas. And has mcpol read the configurations in them, with the very
# arguments that they start it with.
#
# Needs python3 with venv, and a network for the schemas' packages.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
mcpol=${MCPOL:-${CARGO_TARGET_DIR:-$top/target}/debug/mcpol}
[ -x "$mcpol" ] || (cd "$top" && cargo build --quiet)
venv=$here/.real/deploy
packages=(kubernetes-validate==1.37.0 check-jsonschema==0.39.0)
# What the manifests are for.
kubernetes=1.33

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

if [ "$(cat "$venv/installed" 2>/dev/null)" != "${packages[*]}" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet "${packages[@]}"
  echo "${packages[*]}" >"$venv/installed"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for file in "$top"/deploy/kubernetes/*.yaml; do
  "$venv/bin/kubernetes-validate" --strict --kubernetes-version "$kubernetes" --quiet "$file" || fail "$(basename "$file")"
done
echo "manifests: as Kubernetes $kubernetes has them"
"$venv/bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec "$top/deploy/compose/compose.yaml" || fail "compose.yaml"
echo "compose file: as its specification has it"
"$venv/bin/check-jsonschema" --quiet --builtin-schema vendor.github-workflows "$top"/.github/workflows/*.yml || fail "workflows"
echo "workflows: as GitHub has them"

if command -v systemd-analyze >/dev/null; then
  # It looks for the program at its place, and for the group of a unit's file.
  sed "s|/usr/bin/mcpol|$mcpol|" "$top/deploy/systemd/mcpol.service" >"$work/mcpol.service"
  said=$(systemd-analyze verify --man=no "$work/mcpol.service" 2>&1) || fail "unit: $said"
  [ -z "$said" ] || fail "unit: $said"
  systemd-analyze security --offline=true --threshold=20 "$work/mcpol.service" >"$work/security" || fail "unit: $(tail -n 1 "$work/security")"
  echo "unit: $(tail -n 1 "$work/security" | sed 's/.*level/exposure level/')"
else
  echo "unit: not looked at, without systemd-analyze"
fi

# Has mcpol read what a gateway there reads:  reads WHAT FOLDER ARGUMENT…
reads() {
  local what=$1 folder=$2 argument arguments=()
  shift 2
  for argument in "$@"; do
    arguments+=("${argument/#\/etc\/mcpol/$folder}")
  done
  MCPOL_STATE=redis://localhost EXAMPLE_TOKEN=x MCPOL_STATE_DIR=$work/state "$mcpol" "${arguments[@]}" --dry-run >"$work/out" 2>"$work/err" || {
    cat "$work/err" >&2
    fail "$what: mcpol does not take it"
  }
  grep -q 'example' "$work/out" || fail "$what: no server in it"
  echo "$what: mcpol reads it"
}

# The configuration and the arguments, out of the manifests and the compose file.
"$venv/bin/python" - "$top/deploy" "$work" <<'PYTHON'
import pathlib, sys, yaml
deploy, work = map(pathlib.Path, sys.argv[1:])
objects = [it for file in (deploy / "kubernetes").glob("*.yaml") for it in yaml.safe_load_all(file.read_text())]
(work / "kubernetes").mkdir()
for it in objects:
    if it["kind"] == "ConfigMap":
        for name, text in it["data"].items():
            (work / "kubernetes" / name).write_text(text)
    if it["kind"] == "Deployment":
        container = it["spec"]["template"]["spec"]["containers"][0]
        (work / "kubernetes.arguments").write_text("\n".join(container["args"]))
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] == "operators", probe
assert len({it["metadata"].get("namespace", "mcpol") for it in objects}) == 1, "one namespace"
compose = yaml.safe_load((deploy / "compose" / "compose.yaml").read_text())
(work / "compose.arguments").write_text("\n".join(compose["services"]["gateway"]["command"]))
# Addresses that the manifests name are those of the configuration.
toml = (work / "kubernetes" / "mcpol.toml").read_text()
assert 'listen = "0.0.0.0:%d"' % ports["mcp"] in toml and 'admin = "0.0.0.0:%d"' % ports["operators"] in toml, toml
PYTHON
mapfile -t arguments <"$work/kubernetes.arguments"
reads "manifests" "$work/kubernetes" "${arguments[@]}"
mapfile -t arguments <"$work/compose.arguments"
reads "compose file" "$top/deploy/compose/config" "${arguments[@]}"
