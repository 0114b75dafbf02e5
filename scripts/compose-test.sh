#!/usr/bin/env bash
# Brings the stack of docker-compose.yml up in a real Docker engine and looks at it from outside:
# health of every container, an injected error burst over WebSocket and SSE, ClickHouse over HTTP,
# and whether every record in Kafka is a row or a dead letter. Takes it down again, volumes included.
#
#   scripts/compose-test.sh [--no-build] [--keep]
#
#   --no-build   use the image there is
#   --keep       leave the stack running at the end
#
# It has a name, ports and volumes of its own and runs beside another stack. Exit codes: 0 everything
# holds, 1 something does not, 2 it cannot run here. The first run builds the image, which takes long.
set -euo pipefail
cd "$(dirname "$0")/.."

build=yes keep=no
for argument; do
  case $argument in
    --no-build) build=no ;;
    --keep) keep=yes ;;
    *) sed -n '2,12p' "$0" | sed 's/^# \{0,1\}//'; exit 64 ;;
  esac
done

# --- what it needs

cannot() { echo "compose-test cannot run here: $*" >&2; exit 2; }
for tool in docker curl python3; do
  command -v "$tool" >/dev/null || cannot "$tool is not installed"
done
docker info >/dev/null 2>&1 || cannot "the docker engine does not answer (docker info): is it running, and may you use it?"
if docker compose version >/dev/null 2>&1; then
  compose_command=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose_command=(docker-compose)
else
  cannot "there is neither 'docker compose' nor 'docker-compose'"
fi

# --- a stack of its own

readonly PROJECT=barograph-test-$$ HISTORY=20m RATE=100 BURST_AFTER=20s SERVICE=checkout
readonly USER_AND_PASSWORD=default:compose-test
work=$(mktemp -d "${TMPDIR:-/tmp}/compose-test.XXXXXX")

# What somebody set for a stack of theirs is not for this one.
while read -r name; do unset "$name"; done < <(sed -nE 's/^(# )?([A-Z][A-Z0-9_]*)=.*/\2/p' .env.example)
read -r gateway_port kafka_port clickhouse_port < <(python3 - <<'PORTS'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in held))
PORTS
)
cat >"$work/env" <<ENV
GATEWAY_PORT=$gateway_port
KAFKA_PORT=$kafka_port
CLICKHOUSE_PORT=$clickhouse_port
CLICKHOUSE_PASSWORD=${USER_AND_PASSWORD#*:}
GENERATOR_RATE=$RATE
GENERATOR_HISTORY=$HISTORY
GENERATOR_INJECT=error_burst:$SERVICE@$BURST_AFTER+20s x0.8
GENERATOR_INJECT_EVERY=
GENERATOR_RHYTHM=0
ENV
compose() { "${compose_command[@]}" --project-name "$PROJECT" --env-file "$work/env" "$@"; }

# --- telling

results=() failures=0 began=$SECONDS
note() { printf '%4ds  %s\n' $((SECONDS - began)) "$*"; }
holds() { results+=("ok      $*"); note "ok: $*"; }
fails() { results+=("FAILED  $*"); failures=$((failures + 1)); note "FAILED: $*"; }
check() { # WHAT COMMAND…
  local what=$1; shift
  if "$@"; then holds "$what"; else fails "$what"; fi
}
stop_here() { fails "$*"; exit 1; }
until_true() { # SECONDS COMMAND…
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 1
  done
}

watchers=()
finish() {
  local code=$?
  trap - EXIT INT TERM
  ((${#watchers[@]} == 0)) || kill "${watchers[@]}" 2>/dev/null || true
  if ((code != 0 || failures > 0)); then
    compose ps >"$work/containers.txt" 2>&1 || true
    compose logs --no-color >"$work/logs.txt" 2>&1 || true
    echo "--- containers, and the last lines of their logs; everything is in $work" >&2
    cat "$work/containers.txt" >&2
    compose logs --no-color --tail=15 >&2 2>/dev/null || true
  fi
  if [[ $keep == yes ]]; then
    note "the stack $PROJECT stays: dashboard http://127.0.0.1:$gateway_port, environment $work/env"
  else
    compose down --volumes --remove-orphans --timeout 20 >"$work/down.txt" 2>&1 || true
    local label=label=com.docker.compose.project=$PROJECT left
    left=$(docker ps -aq --filter "$label"; docker volume ls -q --filter "$label"; docker network ls -q --filter "$label")
    if [[ -z $left ]]; then holds "taken down, and nothing of it is left"; else fails "left behind: $left"; fi
  fi
  echo
  ((${#results[@]} == 0)) || printf '%s\n' "${results[@]}"
  if ((failures > 0 || code != 0)); then
    local how="$failures failed"
    ((failures > 0)) || how="broken off"
    echo "compose-test: $how, after $((SECONDS - began)) s"
    exit $((code > 1 ? code : 1))
  fi
  [[ $keep == yes ]] || rm -rf "$work"
  echo "compose-test: everything holds, after $((SECONDS - began)) s"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- looking

container_of() { docker ps -aq --filter "label=com.docker.compose.project=$PROJECT" --filter "label=com.docker.compose.service=$1"; }
state_of() { # SERVICE: healthy, unhealthy, starting, or "exited N"
  local container; container=$(container_of "$1")
  [[ -n $container ]] || { echo absent; return; }
  docker inspect --format '{{if eq .State.Status "running"}}{{if .State.Health}}{{.State.Health.Status}}{{else}}running{{end}}{{else}}{{.State.Status}} {{.State.ExitCode}}{{end}}' "$container"
}
is_state() { [[ $(state_of "$1") == "$2" ]]; }
sql() { curl --silent --show-error --fail --max-time 30 --user "$USER_AND_PASSWORD" "http://127.0.0.1:$clickhouse_port/?database=barograph" --data-binary "$1"; }
kafka_tool() { compose exec -T kafka "/opt/kafka/bin/$1" --bootstrap-server localhost:19092 "${@:2}"; }
# Partition, committed offset and end offset of each partition of the log records.
group_positions() {
  kafka_tool kafka-consumer-groups.sh --describe --group anomaly-processor 2>/dev/null </dev/null |
    awk '$2 == "app-logs" { print $3, $4, $5 }'
}
has_caught_up() {
  positions=$(group_positions) || return 1
  awk '$2 != $3 && $3 != 0 { behind = 1 } END { exit NR == 0 || behind }' <<<"$positions"
}
# When the injected burst begins, as the generator says in its topic of labels.
label_of_burst() {
  kafka_tool kafka-console-consumer.sh --topic app-logs.truth --from-beginning --timeout-ms 5000 2>/dev/null </dev/null |
    grep '"kind":"error_burst"' | head -n 1 | sed -E 's/.*"start":"([^"]*)".*/\1/'
}
has_label() { since=$(label_of_burst) && [[ -n $since ]]; }
# The id, severity and title of the injected burst, if it stands in this file of frames.
has_burst() { burst=$(python3 scripts/compose-test/burst.py "$1" "$SERVICE" "$since"); }
stored_bursts() { sql "SELECT count() FROM anomalies FINAL WHERE id = '$id' AND kind = 'error_burst'"; }
is_stored() { [[ $(stored_bursts) == 1 ]]; }

# --- the test

if [[ $build == yes ]]; then
  note "building the image"
  compose build anomaly-processor >"$work/build.txt" 2>&1 || { tail -n 30 "$work/build.txt" >&2; stop_here "the image cannot be built"; }
  holds "the image was built"
fi

note "starting the stack without a generator"
LOG_GENERATORS=0 compose up --detach --no-build >"$work/up.txt" 2>&1 || { tail -n 30 "$work/up.txt" >&2; stop_here "docker compose up fails"; }
check "LOG_GENERATORS=0 starts no generator" is_state log-generator absent
for service in kafka clickhouse anomaly-processor ws-gateway; do
  until_true 180 is_state "$service" healthy || stop_here "$service is not healthy but $(state_of "$service")"
  holds "$service is healthy"
done
for service in topics migrations; do
  check "$service ended with exit code 0" is_state "$service" "exited 0"
done

gateway=http://127.0.0.1:$gateway_port
page=$(curl --silent --max-time 10 "$gateway/")
check "the gateway serves the dashboard" grep -q '<script type="module"' <<<"$page"
published=$(for id in $(docker ps -q --filter "label=com.docker.compose.project=$PROJECT"); do docker port "$id"; done)
check "every published port is on 127.0.0.1 only" bash -c '[[ -n $1 ]] && ! grep -v " 127\.0\.0\.1:" <<<"$1"' _ "$published"

touch "$work"/{websocket.jsonl,sse.txt}
python3 scripts/compose-test/watch.py 127.0.0.1 "$gateway_port" >"$work/websocket.jsonl" 2>"$work/websocket.err" &
watchers+=($!)
curl --silent --no-buffer "$gateway/api/v1/anomalies/stream" >"$work/sse.txt" &
watchers+=($!)
until_true 15 grep -q '"type":"subscribed"' "$work/websocket.jsonl" || stop_here "no subscription over WebSocket: $(cat "$work/websocket.err")"
holds "subscribed over WebSocket with barograph.v1"

note "starting the generator: $HISTORY of history, then live, with an error burst in $SERVICE after $BURST_AFTER"
compose up --detach --no-build >>"$work/up.txt" 2>&1 || stop_here "the generator cannot be started"
until_true 120 is_state log-generator healthy || stop_here "log-generator is not healthy but $(state_of log-generator)"
holds "log-generator is healthy"

# What cannot be read is sent by hand: broken JSON, a record without a message, and one readable line.
printf '%s\n' '{"broken": ' '{}' 'a line of plain text' |
  compose exec -T kafka /opt/kafka/bin/kafka-console-producer.sh --bootstrap-server localhost:19092 --topic app-logs >/dev/null 2>&1 ||
  fails "records cannot be sent with Kafka's own producer"

until_true 120 has_label || stop_here "the generator wrote no label of the burst it should inject"
holds "the generator injected the burst, which begins at $since"
until_true 120 has_burst "$work/websocket.jsonl" || stop_here "no error_burst of $SERVICE over WebSocket within 120 s of its injection"
id=${burst%% *}
holds "the burst came over WebSocket: ${burst#* }"
check "the same anomaly came over SSE" until_true 15 grep -q "$id" "$work/sse.txt"
check "GET /api/v1/anomalies/$id has it" curl --silent --fail --output /dev/null --max-time 10 "$gateway/api/v1/anomalies/$id"

note "stopping the generator, and waiting until everything is read"
compose stop log-generator >/dev/null 2>&1
check "log-generator ended with exit code 0: Kafka has everything it sent" is_state log-generator "exited 0"
if until_true 120 has_caught_up; then
  holds "the processor has caught up: lag 0 on $(wc -l <<<"$positions") partitions"
else
  fails "the processor has not caught up within 120 s: ${positions:-no positions}"
fi

ends=$(awk '{ sum += $3 } END { print sum + 0 }' <<<"$positions")
dead=$(kafka_tool kafka-console-consumer.sh --topic app-logs.dlq --from-beginning --timeout-ms 10000 --property print.value=false --property print.offset=true 2>/dev/null </dev/null | grep -c 'Offset:' || true)
rows=$(sql 'SELECT count() FROM logs')
distinct=$(sql 'SELECT uniqExact(incarnation, kafka_partition, kafka_offset) FROM logs')
check "Σ end offsets of app-logs $ends = $rows rows + $dead dead letters" test "$ends" -eq $((rows + dead))
check "each row once: $distinct distinct positions" test "$rows" -eq "$distinct"
check "the two records that cannot be read are dead letters" test "$dead" -eq 2
check "there is more than the history: $rows rows" test "$rows" -gt 100000
windows=$(sql 'SELECT sum(records) FROM log_windows')
check "log_windows counts every row: $windows" test "$windows" -eq "$rows"

check "the same anomaly is in ClickHouse" until_true 30 is_stored
lines=$(sql "SELECT count() FROM anomalous_logs WHERE anomaly_id = '$id'")
check "anomalous_logs has its lines: $lines" test "$lines" -ge 1

for service in kafka clickhouse anomaly-processor ws-gateway; do
  container=$(container_of "$service")
  restarts=$(docker inspect --format '{{.RestartCount}}' "$container")
  check "$service is still healthy and was never restarted" bash -c '[[ $1 == healthy && $2 == 0 ]]' _ "$(state_of "$service")" "$restarts"
done
