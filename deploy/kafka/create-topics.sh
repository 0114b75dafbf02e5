#!/bin/bash
# Creates the topics that are missing, and leaves the ones that exist as they are.
set -euo pipefail

day=$((24 * 60 * 60 * 1000))
# Kafka counts what a batch carries beside its record into max.message.bytes.
record=$((16 * 1024 * 1024 + 4096))
dead_letter=$((record + 64 * 1024))

topics() { /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$BROKERS" "$@"; }

existing=$(topics --list)

create() { # NAME PARTITIONS RETENTION_MS MAX_BYTES
  if grep -qxF -- "$1" <<<"$existing"; then
    echo "$1 is there"
    return
  fi
  topics --create --if-not-exists --topic "$1" --partitions "$2" \
    --replication-factor "$REPLICATION" --config cleanup.policy=delete \
    --config retention.ms="$3" --config max.message.bytes="$4"
}

create "$LOGS" "$PARTITIONS" "$((RETENTION_HOURS * 60 * 60 * 1000))" "$record"
create "${DEAD_LETTERS:-$LOGS.dlq}" 1 $((14 * day)) "$dead_letter"
create "$LOGS.truth" 1 $((7 * day)) "$record"
create "$ANOMALIES" 1 $((7 * day)) "$record"
