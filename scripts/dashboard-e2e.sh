#!/usr/bin/env bash
# The dashboard's journeys in a browser, against a whole stack with faults in its logs.
#
# Before: `cargo build --release --workspace --bins` (with the dashboard built: `npm run build`), and
# `npm ci` in dashboard/. CHROMIUM_PATH names the browser. Arguments go to Playwright, for example
#   scripts/dashboard-e2e.sh -g keyboard
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
programs=${BAROGRAPH_PROGRAMS:-$root/target/release}

for program in barograph anomaly-processor ws-gateway log-generator clickhouse-embedded; do
  if [ ! -x "$programs/$program" ]; then
    echo "$programs/$program is missing: cargo build --release --workspace --bins" >&2
    exit 69
  fi
done
if [ ! -d "$root/dashboard/node_modules" ]; then
  echo "dashboard/node_modules is missing: npm ci in dashboard/" >&2
  exit 69
fi

data=$(mktemp -d)
generator=
stack=
stop() {
  status=$?
  trap - EXIT
  for pid in $generator $stack; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  if [ "$status" -ne 0 ]; then
    echo "the end of the stack's output:" >&2
    tail -n 20 "$data/up.log" >&2 || true
  fi
  rm -rf "$data"
  exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$programs/barograph" up --free-ports --data-dir "$data/stack" --generate 300 >"$data/up.log" 2>&1 &
stack=$!

# Waits for a command to succeed, for as many seconds, while the stack runs.
await() {
  local what=$1 seconds=$2
  shift 2
  local end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$stack" 2>/dev/null; then
      echo "not within $seconds s: $what" >&2
      return 1
    fi
    sleep 0.2
  done
}

# A value of the note that the stack leaves about itself.
note() {
  node -p 'require(process.argv[1])'"$1" "$data/stack/stack.json"
}

await "the stack has started" 300 test -s "$data/stack/stack.json"
BAROGRAPH_URL=$(note .gateway)
await "the gateway is ready" 60 curl --fail --silent "$(note '.admin["ws-gateway"]')/ready"
await "the processor is ready" 60 curl --fail --silent "$(note '.admin["anomaly-processor"]')/ready"

# A burst of errors every 20 seconds, in one service after the other, for half an hour.
services=(checkout auth search payments)
injections=()
for ((burst = 0; burst < 90; burst++)); do
  service=${services[burst % ${#services[@]}]}
  injections+=(--inject "error_burst:$service@$((5 + 20 * burst))s+8s x0.6")
done
KAFKA_BROKERS=$(note .env.KAFKA_BROKERS) ADMIN_LISTEN=127.0.0.1:0 \
  "$programs/log-generator" --rate 200 --seed 1 "${injections[@]}" >"$data/generator.log" 2>&1 &
generator=$!
await "the generator writes" 30 kill -0 "$generator"

cd "$root/dashboard"
BAROGRAPH_URL=$BAROGRAPH_URL npm run e2e -- "$@"
