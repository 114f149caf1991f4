# shellcheck shell=bash
# What the test scripts have in common: say what was seen, count, go on. Sourced, never run.
passed=0 failed=0 skipped=()
ok() { passed=$((passed + 1)); echo "  ok      $*"; }
# no NAME [WHY]
no() {
  failed=$((failed + 1))
  echo "  FAILED  $1"
  [ -z "${2:-}" ] || sed 's/^/          /' <<<"$2" | head -40
}
# expect NAME COMMAND...: it succeeds.
expect() {
  local name=$1
  shift
  if output=$("$@" 2>&1); then ok "$name"; else no "$name" "$output"; fi
}
# says NAME TEXT COMMAND...: it succeeds and says so.
says() {
  local name=$1 text=$2
  shift 2
  if output=$("$@" 2>&1) && grep -qF -- "$text" <<<"$output"; then ok "$name"; else no "$name" "wanted: $text
got: $output"; fi
}
# refused NAME TEXT COMMAND...: it fails and says so.
refused() {
  local name=$1 text=$2
  shift 2
  if output=$("$@" 2>&1); then no "$name" "was accepted: $output"
  elif grep -qF -- "$text" <<<"$output"; then ok "$name"
  else no "$name" "wanted: $text
got: $output"; fi
}
# same NAME WANTED GOT
same() {
  if [ "$2" = "$3" ]; then ok "$1"; else no "$1" "wanted: $2
got: $3"; fi
}
# eventually NAME COMMAND...: it succeeds within EVENTUALLY seconds (60).
eventually() {
  local name=$1 deadline=$((SECONDS + ${EVENTUALLY:-60}))
  shift
  until output=$("$@" 2>&1); do
    if [ $SECONDS -ge $deadline ]; then no "$name" "not within the time: $output"; return 1; fi
    sleep 0.2
  done
  ok "$name"
}
# skip PART WHY: a part that cannot be run here. It is said once more at the end, and to who runs several scripts (KRUISE_SKIPPED, a
# file); with STRICT=1 it is a failure.
skip() {
  if [ -n "${STRICT:-}" ]; then no "$1 (STRICT=1)" "$2"; return; fi
  skipped+=("$1: $2")
  echo "  SKIPPED $1: $2"
  [ -z "${KRUISE_SKIPPED:-}" ] || echo "$1: $2" >>"$KRUISE_SKIPPED"
}
# sum_up: how many passed; fails if any failed.
sum_up() {
  [ ${#skipped[@]} = 0 ] || printf 'NOT RUN: %s\n' "${skipped[@]}"
  echo "$passed passed, $failed failed${skipped[*]:+, ${#skipped[@]} not run}"
  [ "$failed" = 0 ]
}
