#!/usr/bin/env bash
# Many calls through the gateway while servers and clients fail in every way (benches/soak.rs): every request gets
# exactly one reply, limits hold to the call, memory stays flat, no descriptor is left open.
#
#   tests/soak.sh              50,000 calls, with the binaries of `cargo test`
#   tests/soak.sh 1000000      so many, optimized: takes a while, and first a build
set -euo pipefail
cd "$(dirname "$0")/.."

calls=${1:-50000}
if [ "$calls" -gt 100000 ]; then
  exec cargo bench --quiet --bench soak -- "$calls"
fi
exec cargo test --quiet --bench soak -- "$calls"
