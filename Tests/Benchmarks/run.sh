#!/usr/bin/env bash
# Measures Wherry beside a peer, both in the same minutes on the same machine.
#   run.sh             the list of benchmarks
#   run.sh NAME [N]    runs NAME, N times each (default 15); ends with a line
#                      NAME ratio R to PEER (min A, max B, n N)     R = ours over theirs, medians
#                      NAME value V UNIT                            where no peer can run
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

list() {
  local file
  for file in "$here"/*.bench.sh; do
    printf '%-10s %s\n' "$(basename "$file" .bench.sh)" "$(sed -n '1s/^# //p' "$file")"
  done
}
[ $# -gt 0 ] || { list; exit 0; }
name=$1 runs=${2:-15}
[ -f "$here/$name.bench.sh" ] || { echo "run.sh: there is no benchmark \"$name\"; these are:" >&2; list >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "run.sh: agents make namespaces and mounts; run as root" >&2; exit 1; }

bin=${WHERRY_BIN:-$root/.build/wherry}
if [ -z "${WHERRY_BIN:-}" ]; then
  "$root/provisioning/packages.sh" build service device sample bench
  "$root/provisioning/build.sh" "$bin"
fi
port=${WHERRY_PORT:-9443} id=b net=90
state=$(mktemp -d /tmp/wherry-benchmark.XXXXXX)
# Workers and components do not run as root, and must be able to reach what is theirs below it.
chmod 0755 "$state"
# shellcheck source=provisioning/fleet.sh
. "$root/provisioning/fleet.sh"
finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP PIPE
  set +e
  if declare -F peer_down > /dev/null; then peer_down || true; fi
  take_down_fleet || status=1
  [ "$status" != 0 ] || rm -rf "$state"
  [ "$status" = 0 ] || echo "run.sh: failed; the logs are in $state" >&2
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

wherry() { "$bin/wherry" "$@"; }
now() { date +%s%N; }

# start_fleet DEVICES: registry, service, group bench and so many agents.
start_fleet() {
  start_registry > "$state/setup.log" 2>&1
  start_service >> "$state/setup.log" 2>&1
  wherry group create bench > /dev/null
  local index
  for index in $(seq "$1"); do add_device "bench-$index" bench >> "$state/setup.log" 2>&1; done
  wait_for 20 "the connection of the devices" all_online
}

# statistics NAME < NUMBERS: median, least and greatest, for people.
statistics() { sort -g | awk -v name="$1" '{ v[NR] = $1 } END { printf "%s: median %.1f, min %.1f, max %.1f, n %d\n", name, v[int((NR + 1) / 2)], v[1], v[NR], NR }'; }

# ratio NAME PEER OURS THEIRS: the closing line, from two files of numbers taken in turn.
ratio() {
  paste "$3" "$4" | awk '{ print $1 / $2 }' | sort -g > "$state/ratios"
  awk -v name="$1" -v peer="$2" -v ours="$(median "$3")" -v theirs="$(median "$4")" \
    '{ v[NR] = $1 } END { printf "%s ratio %.2f to %s (min %.2f, max %.2f, n %d)\n", name, ours / theirs, peer, v[1], v[NR], NR }' \
    "$state/ratios"
}
median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# shellcheck disable=SC1090
. "$here/$name.bench.sh"
