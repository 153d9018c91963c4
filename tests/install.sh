#!/usr/bin/env bash
# Makes the packages that a release has, as the release workflow does, and installs each of them as a person would: the wheel
# with pip and uvx, the npm packages with npx and from an archive of a registry, the archive by hand, as `cargo binstall` and
# Homebrew would find it. Each plays the demo, and has its supervisor beside it.
#
# Needs node with npm, python3 with venv, and a network for maturin and uv. The programs are those of `cargo test`.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
# shellcheck source=tests/install/wheel.sh
. "$here/install/wheel.sh"
# Of what tests/real.sh installs only uv, in the same place, is used.
# shellcheck source=tests/real/install.sh
. "$here/real/install.sh"

work=$(mktemp -d)
registry=
trap '[ -z "$registry" ] || kill "$registry" 2>/dev/null || true; rm -rf "$work"' EXIT
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$top/Cargo.toml" | head -n 1)
home=$work/home
mkdir "$home"

# Runs a command in an empty home, with no mcpol but the installed one, and nothing of this checkout to find.
alone() {
  (cd "$home" && env -i HOME="$home" PATH="$work/path:/usr/bin:/bin" TERM=dumb "$@")
}
mkdir "$work/path"
for program in node npm npx; do
  ln -s "$(command -v $program)" "$work/path/$program"
done

# Plays the demo with a command, and looks which program stands in front of the servers that it starts:  try WHAT COMMAND…
try() {
  local what=$1 seen
  shift
  alone "$@" demo >"$work/out" 2>"$work/err" || { cat "$work/out" "$work/err" >&2; fail "$what: the demo"; }
  grep -q 'POLICY DENIED' "$work/out" || { cat "$work/out" >&2; fail "$what: the demo refused nothing"; }
  [ "$(alone "$@" --version 2>/dev/null)" = "mcpol $version" ] || fail "$what: another version"
  # The parent of a server's command, by name; what follows is no server, so the scan fails.
  alone "$@" scan -- sh -c "cat /proc/\$PPID/comm >'$work/seen'" >/dev/null 2>&1 || true
  seen=$(cat "$work/seen" 2>/dev/null || true)
  rm -f "$work/seen"
  [ "$seen" = mcpol-supervise ] || fail "$what: servers run below \`$seen\`, not mcpol-supervise"
  echo "$what: $version, demo played, supervisor found"
}

wheel=$(wheel "$work/wheels" "$here/.real/maturin")
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-index "$wheel"
try "pip install" "$work/venv/bin/mcpol"

uv_alone "$here/.real"
ln -s "$(command -v uvx)" "$(command -v uv)" "$work/path/"
try "uvx" uvx --quiet --offline --no-cache --python "$(python3 -c 'import sys; print(sys.executable)')" --find-links "$work/wheels" mcpol

# The programs of the wheel, for all that is packed in other ways.
programs=$work/venv/bin
case $(uname -m) in
  x86_64) platform=linux-x64 target=x86_64-unknown-linux-musl ;;
  aarch64) platform=linux-arm64 target=aarch64-unknown-linux-musl ;;
  *) fail "no packages for $(uname -m)" ;;
esac
# One for another platform, which npm must leave alone.
mkdir "$work/other"
touch "$work/other/mcpol" "$work/other/mcpol-supervise"
node "$top/packaging/npm/pack.mjs" "$work/npm" "$platform=$programs" "darwin-arm64=$work/other" >/dev/null
exec 3< <(exec python3 "$here/install/registry.py" "$work/npm")
registry=$!
read -r port <&3
npm_config() {
  printf '%s\n' "registry=http://127.0.0.1:$port/" "cache=$work/npm-cache" update-notifier=false
}
npm_config >"$home/.npmrc"
try "npx" npx --yes mcpol
[ -z "$(find "$work/npm-cache/_npx" -path '*@mcpol/darwin*' -print -quit)" ] || fail "npx has installed another platform's programs"
alone npm install --global --prefix "$work/global" mcpol >/dev/null
try "npm install -g" "$work/global/bin/mcpol"
# It ends as the program ends, in code and in signal.
code=0
alone "$work/global/bin/mcpol" scan nothing-of-the-kind >/dev/null 2>&1 || code=$?
[ "$code" = 2 ] || fail "npm: exit code $code instead of 2"
rm -rf "$work/global/lib/node_modules/mcpol/node_modules/@mcpol" "$work/global/lib/node_modules/@mcpol"
code=0
alone "$work/global/bin/mcpol" demo >/dev/null 2>"$work/err" || code=$?
[ "$code" = 127 ] || fail "npm: exit code $code instead of 127 without programs"
grep -q "@mcpol/$platform" "$work/err" || fail "npm: nothing is said of a platform without programs"

archive=$("$top/packaging/archive.sh" "$target" "$programs" "$work/archives")
mkdir "$work/unpacked"
tar -xzf "$archive" -C "$work/unpacked"
try "archive" "$work/unpacked/mcpol-$version-$target/mcpol"
[ -s "$work/unpacked/mcpol-$version-$target/man/mcpol-scan.1" ] || fail "archive: no man page"
[ -s "$work/unpacked/mcpol-$version-$target/completions/mcpol.bash" ] || fail "archive: no completions"

# Where Cargo.toml says that `cargo binstall` finds it.
cargo metadata --no-deps --format-version 1 --manifest-path "$top/Cargo.toml" >"$work/metadata.json"
python3 - "$work/metadata.json" "$archive" "$target" <<'PYTHON'
import json, sys, tarfile
package = next(it for it in json.load(open(sys.argv[1]))["packages"] if it["name"] == "mcpol")
install = package["metadata"]["binstall"]
def filled(text, binary=""):
    of = {"repo": package["repository"], "version": package["version"], "target": sys.argv[3], "bin": binary, "binary-ext": ""}
    for name, value in of.items():
        text = text.replace("{ %s }" % name, value)
    return text
assert filled(install["pkg-url"]).rsplit("/", 1)[1] == sys.argv[2].rsplit("/", 1)[1], filled(install["pkg-url"])
names = tarfile.open(sys.argv[2]).getnames()
for target in package["targets"]:
    if "bin" in target["kind"]:
        assert filled(install["bin-dir"], target["name"]) in names, (target["name"], names)
PYTHON
echo "cargo binstall: the archive is where it looks, with both programs"

for other in {aarch64,x86_64}-{apple-darwin,unknown-linux-musl}; do
  [ "$other" = "$target" ] || cp "$archive" "$work/archives/mcpol-$version-$other.tar.gz"
done
(cd "$work/archives" && sha256sum ./*.tar.gz | sed 's# \./# #') >"$work/SHA256SUMS"
"$top/packaging/homebrew/fill.sh" "$version" "$work/SHA256SUMS" >"$work/mcpol.rb"
! grep -q '@[A-Za-z]' "$work/mcpol.rb" || fail "the formula has gaps"
[ "$(grep -c "$(sha256sum "$archive" | cut -d' ' -f1)" "$work/mcpol.rb")" = 4 ] || fail "the formula has other checksums"
echo "Homebrew: the formula has the checksums"
