#!/bin/bash
# Reads what the entrypoint of clickhouse/clickhouse-server reads: CLICKHOUSE_USER,
# CLICKHOUSE_PASSWORD, CLICKHOUSE_DB. Configuration files have no meaning here.
set -euo pipefail

export CHDB_LIBRARY=/usr/lib/clickhouse/libchdb.so
export CLICKHOUSE_PATH=/var/lib/clickhouse/data
export CLICKHOUSE_USER=${CLICKHOUSE_USER:-default} CLICKHOUSE_PASSWORD=${CLICKHOUSE_PASSWORD:-}

# Like there, the database is created by a server that only this container sees, and requests that
# name no database go to `default`.
if [[ -n ${CLICKHOUSE_DB:-} ]]; then
  clickhouse-embedded --listen 127.0.0.1:8123 --database "$CLICKHOUSE_DB" --ready-file /tmp/ready &
  server=$!
  until [[ -s /tmp/ready ]]; do
    kill -0 "$server" || { echo "the server ended while it set itself up" >&2; exit 1; }
    sleep 0.1
  done
  kill -TERM "$server"
  wait "$server"
fi

exec clickhouse-embedded --listen 0.0.0.0:8123 --database default
