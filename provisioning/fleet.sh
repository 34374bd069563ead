# Sourced by the quickstart and the benchmarks: a whole fleet on this machine, below one directory.
# Needs: bin (the programs), root (the checkout), state (an empty directory), port (the first of a few ports), id (a
# short prefix that tells this fleet's cgroups, bridges and tables from another's), net (second octet of its addresses).

fleet_pids=()
fleet_devices=()
export WHERRY_SESSION=$state/session.json
operators=$port devices_port=$((port + 1)) registry=127.0.0.1:$((port + 12)) broker=$((port + 440))

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# wait_for SECONDS WHAT COMMAND…: looks until the command succeeds.
wait_for() {
  local limit=$1 what=$2 ends=$((SECONDS + $1))
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $ends ] || die "$what was not there after $limit s; the logs are in $state"
    sleep 0.02
  done
}

# stop PID: TERM, then KILL after ten seconds.
stop() {
  kill -TERM "$1" 2> /dev/null || return 0
  local _
  for _ in $(seq 500); do
    kill -0 "$1" 2> /dev/null || return 0
    sleep 0.02
  done
  kill -KILL "$1" 2> /dev/null || true
}

start_registry() {
  printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "%s"}\n' \
    "$state/registry" "$registry" > "$state/registry.yml"
  docker-registry serve "$state/registry.yml" > "$state/registry.log" 2>&1 &
  fleet_pids+=($!)
  local sample=$root/components/com.example.web/image.sh
  "$sample" build "$state/image"
  wait_for 10 "the registry on $registry" curl -fsS "http://$registry/v2/"
  "$sample" push "$state/image" "$registry"
  "$sample" recipes "$state/components/com.example.web" "$registry"
  cp -R "$root/components/com.example.hello" "$state/components/"
}

start_service() {
  "$bin/wherry-inventory" serve --data "$state/inventory" --listen "127.0.0.1:$operators" \
    --device-listen "127.0.0.1:$devices_port" --broker-listen "127.0.0.1:$broker" \
    --insecure-registry "$registry" --admin-token-file "$state/admin.token" > "$state/inventory.log" 2>&1 &
  service=$!
  fleet_pids+=("$service")
  wait_for 20 "the inventory service" service_ready_or_ended
  kill -0 "$service" 2> /dev/null || die "the inventory service ended: $(tail -n 3 "$state/inventory.log")"
  "$bin/wherry" login "https://127.0.0.1:$operators" --ca "$state/inventory/ca.crt" --token-file "$state/admin.token"
}

service_ready_or_ended() {
  grep -q '^wherry-inventory ready' "$state/inventory.log" || ! kill -0 "$service" 2> /dev/null
}

# add_device NAME GROUP: provisions NAME with directories, cgroups and addresses of its own, and starts its agent.
add_device() {
  local name=$1 group=$2 number home=$state/$1
  fleet_devices+=("$name")
  number=${#fleet_devices[@]}
  mkdir -p "$home"
  cat > "$home/agent.conf" << CONF
# Everything of this agent lies under its own directories, so that several fit on one machine.
root = $home/lib
run = $home/run
logs = $home/log
agent_id = $id$number
subnet = 10.$net.$number.0/24
publish_address = 10.$net.$number.1
CONF
  "$bin/wherry" claim create --device "$name" --group "$group" --label site=quickstart > "$home/claim"
  "$bin/wherry-agent" provision --config "$home/agent.conf" --claim "@$home/claim" --name "$name"
  start_agent "$name"
}

start_agent() {
  "$bin/wherry-agent" run --config "$state/$1/agent.conf" >> "$state/$1/agent.log" 2>&1 &
  agent=$!
  fleet_pids+=("$agent")
}

all_online() { [ "$("$bin/wherry" device list -o json | grep -o '"isOnline":true' | wc -l)" = ${#fleet_devices[@]} ]; }

# Ends every process, then removes what the agents left running on purpose. Fails when something could not be removed.
take_down_fleet() {
  local index name failed=0
  for ((index = ${#fleet_pids[@]} - 1; index >= 0; index--)); do stop "${fleet_pids[$index]}"; done
  for name in "${fleet_devices[@]}"; do
    "$bin/wherry-agent" teardown --config "$state/$name/agent.conf" || failed=1
  done
  return $failed
}
