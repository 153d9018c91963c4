#!/usr/bin/env bash
# Runs the tests that need a Redis: each starts a redis-server of its own on loopback and ends it. `cargo test` leaves
# them out and says so. Debian and Ubuntu have the server in the package `redis-server`.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v redis-server >/dev/null || { echo "tests/redis.sh: there is no redis-server (apt-get install redis-server)" >&2; exit 2; }
redis-server --version
# Only the tests that are left out otherwise, and of those only the ones about Redis; at least one of each must run.
for target in "--lib" "--test integration"; do
  log=$(cargo test --quiet $target redis -- --ignored 2>&1) || { echo "$log"; exit 1; }
  echo "$log" | grep -E '^test result'
  echo "$log" | grep -qE '[1-9][0-9]* passed' || { echo "tests/redis.sh: no test ran for $target" >&2; exit 1; }
done
