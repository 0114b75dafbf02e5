#!/usr/bin/env bash
# Every test: Rust (unit, property, integration on real Kafka and ClickHouse), then the browser
# journeys on a running stack. Called by `make test`, which has built everything. Ends with one line
# that adds up the runners' own counts.
set -uo pipefail
cd "$(dirname "$0")/.."

output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0

# The end-to-end tests bring up stacks of their own; few at a time, so that deadlines mean something.
cargo test --release --workspace --no-fail-fast -- --test-threads="${TEST_THREADS:-4}" 2>&1 | tee "$output"
((PIPESTATUS[0] == 0)) || status=1
rust_passed=$(awk '/^test result:/ {sum += $4} END {print sum + 0}' "$output")
rust_failed=$(awk '/^test result:/ {sum += $6} END {print sum + 0}' "$output")

scripts/dashboard-e2e.sh 2>&1 | tee "$output"
((PIPESTATUS[0] == 0)) || status=1
browser_passed=$(awk '$2 == "passed" {sum += $1} END {print sum + 0}' "$output")
browser_failed=$(awk '$2 == "failed" {sum += $1} END {print sum + 0}' "$output")

failed=$((rust_failed + browser_failed))
# A runner that broke off counts as a failure even when no test of its own did.
if ((status != 0 && failed == 0)); then
  failed=1
fi
echo "$((rust_passed + browser_passed)) passed, $failed failed"
exit "$status"
