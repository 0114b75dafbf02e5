#!/usr/bin/env bash
# Makes an image that can stand in for clickhouse/clickhouse-server where that cannot be pulled, from
# the project's embedded ClickHouse, and gives it that name: docker-compose.yml then runs as it is.
#
#   scripts/clickhouse-stand-in/build.sh [NAME:TAG]     by default the image of docker-compose.yml
#
# Needs target/release/clickhouse-embedded, built on this machine for glibc 2.36 or older, and the
# engine that the first `barograph up` fetched (or CHDB_LIBRARY, the path of a libchdb.so).
# What it is not: a ClickHouse server with configuration files, users, and the native protocol.
set -euo pipefail
cd "$(dirname "$0")/../.."

image=${1:-$(sed -n 's/^ *image: \(clickhouse\/clickhouse-server:.*\)$/\1/p' docker-compose.yml)}
program=target/release/clickhouse-embedded
cache=${BAROGRAPH_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/barograph}
library=${CHDB_LIBRARY:-$(find "$cache" -path '*/clickhouse-*/libchdb.so' 2>/dev/null | sort | tail -n 1)}

[[ -x $program ]] || { echo "no $program: cargo build --release -p clickhouse-embedded" >&2; exit 2; }
[[ -f $library ]] || { echo "no libchdb.so in $cache: run barograph up once, or set CHDB_LIBRARY" >&2; exit 2; }
command -v docker >/dev/null || { echo "no docker" >&2; exit 2; }

# 566 MB: linked rather than copied where that is possible.
context=$(mktemp -d "${TMPDIR:-/tmp}/clickhouse-stand-in.XXXXXX")
trap 'rm -rf "$context"' EXIT
ln "$library" "$context/libchdb.so" 2>/dev/null || cp "$library" "$context/libchdb.so"
cp "$program" scripts/clickhouse-stand-in/{Dockerfile,entrypoint.sh} "$context"
chmod 755 "$context"/{clickhouse-embedded,entrypoint.sh}
docker build --tag "$image" "$context"
