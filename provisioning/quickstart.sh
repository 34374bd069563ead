#!/usr/bin/env bash
# Brings up a whole Wherry on this machine: the inventory service with its broker, a registry with the sample image,
# three agents with their own roots, cgroups and addresses; publishes the sample components and rolls them out.
#
#   provisioning/quickstart.sh           stays up until Ctrl-C, then takes everything down
#   provisioning/quickstart.sh --once    exits 0 after success (or 1 with the reason), taking everything down
#
# WHERRY_BIN names a directory with the programs; then nothing is built. WHERRY_PORT_BASE moves the ports (8443).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
once=""
case "${1:-}" in
  "") ;;
  --once) once=yes ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
say() { printf '\n== %s\n' "$*"; }
die() { echo "quickstart: $*" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || die "this needs Linux; its kernel isolates the components"
bin=${WHERRY_BIN:-$root/.build/wherry}
if [ -z "${WHERRY_READY:-}" ]; then
  "$root/provisioning/packages.sh" build service device sample
  if [ -z "${WHERRY_BIN:-}" ]; then
    say "Building (the first time takes some minutes)"
    "$root/provisioning/build.sh" "$bin" | grep -vE '^\[|^$' || true
    # The pipe hides the build's status, so look at what it was to make.
    for program in wherry wherry-inventory wherry-agent wherry-fetch wherry-shim; do
      [ -x "$bin/$program" ] || die "the build did not make $program; run provisioning/build.sh to see why"
    done
  fi
fi
if [ "$(id -u)" != 0 ]; then
  command -v sudo > /dev/null || die "agents make namespaces and mounts, which needs root; install sudo or run as root"
  exec sudo env WHERRY_READY=yes WHERRY_BIN="$bin" WHERRY_PORT_BASE="${WHERRY_PORT_BASE:-8443}" "$0" "$@"
fi

base=${WHERRY_PORT_BASE:-8443}
operators=$base devices=$((base + 1)) broker=$((base + 440)) registry=$((base + 12))
state=$(mktemp -d /tmp/wherry-quickstart.XXXXXX)
names=(kiosk-1 kiosk-2 kiosk-3)
pids=()
export WHERRY_SESSION=$state/session.json
wherry() { "$bin/wherry" "$@"; }

stop() {
  local pid=$1
  kill -TERM "$pid" 2> /dev/null || return 0
  for _ in $(seq 100); do
    kill -0 "$pid" 2> /dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2> /dev/null || true
}

take_down() {
  local status=$?
  trap - EXIT INT TERM
  say "Taking everything down"
  local index
  for ((index = ${#pids[@]} - 1; index >= 0; index--)); do stop "${pids[$index]}"; done
  for name in "${names[@]}"; do
    [ ! -e "$state/$name/agent.conf" ] || "$bin/wherry-agent" teardown --config "$state/$name/agent.conf" || status=1
  done
  if [ "$status" != 0 ]; then
    echo "quickstart: failed; the logs are in $state" >&2
  else
    rm -rf "$state"
  fi
  exit "$status"
}
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_for SECONDS WHAT COMMAND…: until the command succeeds.
wait_for() {
  local limit=$1 what=$2 ends=$((SECONDS + $1))
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $ends ] || die "$what was not there after $limit s; see the logs in $state"
    sleep 0.05
  done
}

say "Registry with the sample image on 127.0.0.1:$registry"
printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
  "$state/registry" "$registry" > "$state/registry.yml"
docker-registry serve "$state/registry.yml" > "$state/registry.log" 2>&1 &
pids+=($!)
sample=$root/components/com.example.web/image.sh
"$sample" build "$state/image"
wait_for 10 "the registry" curl -fsS "http://127.0.0.1:$registry/v2/"
"$sample" push "$state/image" "127.0.0.1:$registry"
"$sample" recipes "$state/components/com.example.web" "127.0.0.1:$registry"
cp -R "$root/components/com.example.hello" "$state/components/"

say "Inventory service"
"$bin/wherry-inventory" serve --data "$state/inventory" --listen "127.0.0.1:$operators" \
  --device-listen "127.0.0.1:$devices" --broker-listen "127.0.0.1:$broker" \
  --insecure-registry "127.0.0.1:$registry" --admin-token-file "$state/admin.token" > "$state/inventory.log" 2>&1 &
pids+=($!)
service=$!
ready() { grep -q '^wherry-inventory ready' "$state/inventory.log" || ! kill -0 "$service"; }
wait_for 20 "the inventory service" ready
kill -0 "$service" 2> /dev/null || die "the inventory service ended: $(tail -n 3 "$state/inventory.log")"
grep '^wherry-inventory ready' "$state/inventory.log"
wherry login "https://127.0.0.1:$operators" --ca "$state/inventory/ca.crt" --token-file "$state/admin.token"

say "Three devices"
wherry group create kiosks
for index in 1 2 3; do
  name=${names[$((index - 1))]}
  home=$state/$name
  mkdir -p "$home"
  cat > "$home/agent.conf" << CONF
# Everything of this agent lies under its own directories, so that three fit on one machine.
root = $home/lib
run = $home/run
logs = $home/log
agent_id = k$index
subnet = 10.88.$index.0/24
publish_address = 10.88.$index.1
CONF
  wherry claim create --device "$name" --group kiosks --label site=quickstart > "$home/claim"
  "$bin/wherry-agent" provision --config "$home/agent.conf" --claim "@$home/claim" --name "$name"
  "$bin/wherry-agent" run --config "$home/agent.conf" > "$home/agent.log" 2>&1 &
  pids+=($!)
done
online() { [ "$(wherry device list -o json | grep -o '"isOnline":true' | wc -l)" = 3 ]; }
wait_for 20 "the connection of all three devices" online
wherry device list

say "Publishing the sample components"
wherry component publish "$state/components"

say "Rolling out to the group kiosks"
wherry deploy --group kiosks com.example.hello=1.0.0 com.example.web=1.0.0 --watch

say "What runs where"
wherry group show kiosks
for index in 1 2 3; do
  echo "http://10.88.$index.1:8080 (${names[$((index - 1))]}): $(curl -fsS --max-time 5 "http://10.88.$index.1:8080/" | sed 's/<[^>]*>/ /g')"
done
echo
echo "Dashboard: https://127.0.0.1:$operators/ (token: $state/admin.token)"
[ -z "$once" ] || exit 0

cat << NEXT

Try, in another terminal (as root):
  export WHERRY_SESSION=$WHERRY_SESSION PATH=$bin:\$PATH
  wherry device logs kiosk-1 com.example.web -f
  wherry deploy --group kiosks com.example.hello=1.0.0 com.example.web=2.0.0 --watch
  wherry deploy --group kiosks com.example.hello=1.0.0 com.example.web=3.0.0 --waves 2,100% --watch   # broken on purpose
Ctrl-C takes everything down.
NEXT
wait
