# shellcheck shell=bash
# What every step of ./dev shares: places, progress lines, logs, stamps, privileges. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$ROOT/build
LOG=$BUILD/log
STAMP=$BUILD/stamp
export DEBIAN_FRONTEND=noninteractive

say() { printf '%s\n' "$*"; }
die() { printf '\nerror: %s\n' "$*" >&2; exit 1; }

# A command with the rights to install packages.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo DEBIAN_FRONTEND=noninteractive "$@"
  else
    die "this step installs packages: run it as root, or install sudo. It wanted: $*"
  fi
}

# step NAME TEXT COMMAND...: one line with the time it took; the output goes to build/log/NAME.log and its end is shown
# on failure. Must not be called as part of a condition: bash would then ignore errors inside COMMAND.
step() {
  local name=$1 text=$2 start=$SECONDS status
  shift 2
  mkdir -p "$LOG"
  printf '  %-64s' "$text"
  set +e
  (set -e; "$@") >"$LOG/$name.log" 2>&1
  status=$?
  set -e
  if [ "$status" = 0 ]; then
    printf ' %4d s\n' $((SECONDS - start))
    return
  fi
  printf ' FAILED after %d s\n' $((SECONDS - start))
  tail -n 40 "$LOG/$name.log" | sed 's/^/    | /'
  die "$text: failed with status $status; the whole output is in ${LOG#"$ROOT"/}/$name.log"
}

# fingerprint FILE...: a short name for what these files say now.
fingerprint() { cat "$@" | sha256sum | cut -c1-16; }

# A stamp holds the fingerprint of the inputs with which a step was last completed.
is_stamped() { [ "$(cat "$STAMP/$1" 2>/dev/null || true)" = "$2" ]; }
set_stamp() { mkdir -p "$STAMP"; printf '%s\n' "$2" >"$STAMP/$1"; }
