# Installs the real servers that tests/real.sh and tests/real-gateway.sh start, pinned, into tests/.real. Sourced by those;
# needs `here` (the folder of tests) and `real` (where to). Afterwards uvx and the servers of PyPI are found.

uv=0.13.9
# Nothing newer than this is installed below the Python servers, so that their lists stay as they are.
newest=2026-11-20T00:00:00Z
python_servers=(mcp-server-time==2026.10.19 mcp-server-git==2026.10.19 mcp-server-fetch==2026.10.24 mcp-grafana==2.1.1)

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# Installs what a lock file names, unless it is there:  npm_packages FOLDER WHERE
npm_packages() {
  mkdir -p "$2"
  cmp -s "$1/package-lock.json" "$2/package-lock.json" && return
  echo "installing npm packages of $(basename "$1")"
  cp "$1/package.json" "$1/package-lock.json" "$2/"
  (cd "$2" && npm ci --no-audit --no-fund --loglevel=error >npm.log 2>&1) || {
    rm -f "$2/package-lock.json"
    cat "$2/npm.log" >&2
    fail "npm ci"
  }
}

# Installs uv below a folder, unless it is there:  uv_alone FOLDER
uv_alone() {
  if [ ! -x "$1/venv/bin/uv" ] || [ "$("$1/venv/bin/uv" --version | cut -d' ' -f2)" != "$uv" ]; then
    echo "installing uv $uv"
    python3 -m venv "$1/venv"
    "$1/venv/bin/pip" install --quiet "uv==$uv"
  fi
  export PATH="$1/venv/bin:$PATH"
}

install() {
  npm_packages "$here/real" "$real"
  uv_alone "$real"
  export UV_TOOL_DIR="$real/uv-tools" UV_TOOL_BIN_DIR="$real/uv-bin" UV_CACHE_DIR="$real/uv-cache"
  if [ "$(cat "$real/python-servers" 2>/dev/null)" != "${python_servers[*]} $newest" ]; then
    for server in "${python_servers[@]}"; do
      echo "installing $server"
      uv tool install --quiet --force --exclude-newer "$newest" "$server"
    done
    echo "${python_servers[*]} $newest" >"$real/python-servers"
  fi
}
