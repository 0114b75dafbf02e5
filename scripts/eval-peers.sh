#!/usr/bin/env bash
# Fetches what `barograph-eval templates` is held against and cargo does not bring: Drain3 (Python, MIT),
# into a virtual environment in the cache. --again makes it anew.
set -euo pipefail

version=0.9.11
place="${BAROGRAPH_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/barograph}/eval-peers"

if ! command -v python3 >/dev/null; then
  echo "eval-peers: python3 is missing; install Python 3.8 or later with its venv module" >&2
  exit 69
fi
if [[ "${1:-}" == --again ]]; then
  rm -rf "$place"
elif (($# > 0)); then
  echo "usage: scripts/eval-peers.sh [--again]" >&2
  exit 64
fi
if [[ "$("$place/bin/python" -c 'import importlib.metadata as m; print(m.version("drain3"))' 2>/dev/null)" == "$version" ]]; then
  echo "Drain3 $version is in $place"
  exit 0
fi
if ! python3 -m venv "$place"; then
  echo "eval-peers: no virtual environment could be made in $place; Python's venv module is needed (Debian: python3-venv)" >&2
  exit 69
fi
"$place/bin/pip" install --quiet --disable-pip-version-check "drain3==$version"
echo "Drain3 $version is in $place"
