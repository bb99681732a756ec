# For the scripts in this folder: source it first. Goes to the repository's root, wherever the script was called from.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C

cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=${0##*/}

say() { printf '%s: %s\n' "$name" "$*" >&2; }
die() {
  say "$@"
  exit 1
}

# Compilers that may run at once: one a core this process may use, and one for every 1.5 GiB of memory.
parallel_jobs() {
  local cores memory_kib
  cores=$(nproc)
  memory_kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
  local fit=$((memory_kib / (1536 * 1024)))
  ((fit >= 1)) || fit=1
  echo $((fit < cores ? fit : cores))
}

# timed WHAT COMMAND...: runs it and says how long it took.
timed() {
  local what=$1 start=$SECONDS status=0
  shift
  "$@" || status=$?
  say "$what: $((SECONDS - start)) s"
  return "$status"
}

# configure PRESET [OPTIONS...] and build PRESET [TARGETS...]: into build/PRESET.
configure() {
  local preset=$1
  shift
  cmake --preset "$preset" "$@" >"build/$preset.configure.log" 2>&1 ||
    { cat "build/$preset.configure.log" >&2; die "cmake --preset $preset failed"; }
}
build() {
  local preset=$1
  shift
  local targets=()
  (($# == 0)) || targets=(--target "$@")
  cmake --build "build/$preset" --parallel "$(parallel_jobs)" "${targets[@]}"
}
mkdir -p build
