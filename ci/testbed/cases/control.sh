# Sourced by cases that speak with the ranks of a job (tests/testbed/job.h): a line each way, over FIFOs.
# shellcheck shell=bash
set -euo pipefail
control=$TESTBED_SHARED/control
inputs=() outputs=()

# open_control RANKS
open_control() {
  local rank
  mkdir -p "$control"
  for ((rank = 0; rank < $1; rank++)); do
    mkfifo "$control/$rank.in" "$control/$rank.out"
    # shellcheck disable=SC1083,SC2093  # both redirections only
    exec {inputs[rank]}<>"$control/$rank.in" {outputs[rank]}<>"$control/$rank.out"
  done
}
# unexpected WHAT: the end, with what the ranks have said. The cases write that to this file, which goes with the room.
unexpected() {
  cat "$control/log" >&2 || true
  echo "$1" >&2
  exit 1
}
# tell RANK LINE
tell() { printf '%s\n' "$2" >&"${inputs[$1]}"; }
# await RANK PATTERN: its next line, which must match.
await() {
  local line
  if ! read -r -t 150 -u "${outputs[$1]}" line; then
    unexpected "rank $1 did not say '$2'"
  fi
  # shellcheck disable=SC2053  # a pattern
  [[ $line == $2 ]] || unexpected "rank $1 said '$line', not '$2'"
  echo "rank $1: $line"
}
# survivors COUNT LOG: so many ranks have ended and say that all was as expected, and none that it was not. The exit status
# of a job one of whose ranks was killed does not tell: it is that rank's.
survivors() {
  cat "$2"
  ! grep -q FAILED "$2" || { echo "a rank that lives on says that not all was as expected" >&2; exit 1; }
  local good
  good=$(grep -c 'as expected$' "$2" || true)
  ((good == $1)) || { echo "$good ranks say that all was as expected, not $1" >&2; exit 1; }
}
