# Builds the wheel of this checkout, and says where it is. Sourced; needs `top` (the checkout).

maturin=1.16.0

# Builds the wheel into a folder, with the crates that `cargo test` has compiled:  wheel FOLDER VENV
# The profile of tests: whether it installs and runs is tried, not how fast. A release has the same but for `--release`.
wheel() {
  if [ "$("$2/bin/maturin" --version 2>/dev/null)" != "maturin $maturin" ]; then
    python3 -m venv "$2"
    "$2/bin/pip" install --quiet "maturin==$maturin"
  fi
  (cd "$top" && "$2/bin/maturin" build --quiet --profile dev --locked --strip --compatibility linux \
    --target-dir "${CARGO_TARGET_DIR:-$top/target}" --out "$1" >&2)
  echo "$1"/mcpol-*.whl
}
