#!/usr/bin/env bash
# Installs what this machine lacks to build and run (`build`), or to test as well (`test`, the default).
# Debian and Ubuntu; as root, or with sudo. What is there already is left as it is; where nothing lacks it is
# a matter of milliseconds, and silent with QUIET=1.
set -euo pipefail

what=${1:-test}
case $what in
build | test) ;;
*)
  echo "install-deps: \`$what\` is neither \`build\` nor \`test\`" >&2
  exit 64
  ;;
esac

packages=()
lacking=()
need() { # COMMAND PACKAGE...
  command -v "$1" >/dev/null 2>&1 && return
  lacking+=("$1")
  packages+=("${@:2}")
}

need cc gcc libc6-dev
need g++ g++
need make make
need perl perl
need pkg-config pkg-config
need curl curl ca-certificates
need java openjdk-17-jre-headless
need mvn maven
if [ "$what" = test ]; then
  need git git
  need python3 python3
  need chromium chromium
  need kcat kcat
  need valgrind valgrind
  # A virtual environment is made for one interop test; the module comes in a package of its own.
  if ! python3 -c 'import ensurepip' 2>/dev/null; then
    lacking+=("python3's venv")
    packages+=(python3-venv)
  fi
fi

missing=()
command -v cargo >/dev/null 2>&1 || missing+=("Rust 1.95 or newer (rustup.rs)")
command -v npm >/dev/null 2>&1 || missing+=("Node.js 20.19 or newer with npm (nodejs.org)")
if ((${#missing[@]})); then
  printf 'install-deps: please install %s first\n' "${missing[@]}" >&2
  exit 69
fi

if ((${#packages[@]} == 0)); then
  [ -n "${QUIET:-}" ] || echo "install-deps: nothing is missing"
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "install-deps: this is not Debian or Ubuntu; please install what lacks: ${lacking[*]}" >&2
  exit 69
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "install-deps: ${lacking[*]} lack, and there is no sudo; as root: apt-get install ${packages[*]}" >&2
    exit 69
  fi
  as_root=(sudo)
fi
echo "install-deps: ${lacking[*]} lack; installing ${packages[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
