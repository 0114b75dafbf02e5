#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks. Debian and Ubuntu; as root, or
# with sudo. What is there already is left as it is.
set -euo pipefail

packages=()
need() { # COMMAND PACKAGE...
  command -v "$1" >/dev/null 2>&1 || packages+=("${@:2}")
}

need cc gcc libc6-dev
need g++ g++
need make make
need perl perl
need pkg-config pkg-config
need git git
need curl curl ca-certificates
need java openjdk-17-jre-headless
need mvn maven
need python3 python3
need chromium chromium
need kcat kcat
need valgrind valgrind
# A virtual environment is made for one interop test; the module comes in a package of its own.
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)

missing=()
command -v cargo >/dev/null 2>&1 || missing+=("Rust 1.95 or newer (rustup.rs)")
command -v npm >/dev/null 2>&1 || missing+=("Node.js 20.19 or newer with npm (nodejs.org)")
if ((${#missing[@]})); then
  printf 'install-deps: please install %s first\n' "${missing[@]}" >&2
  exit 69
fi

if ((${#packages[@]} == 0)); then
  echo "install-deps: nothing is missing"
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "install-deps: this is not Debian or Ubuntu; please install: ${packages[*]}" >&2
  exit 69
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
fi
echo "install-deps: installing ${packages[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
