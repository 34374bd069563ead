#!/usr/bin/env bash
# Makes provisioning/agent.order anew: the sections of wherry-agent that run, first those of an idle agent, then those of
# a deployment. Linked in this order they lie together, and the agent maps 2.7 MB less of its file. Needs root, valgrind
# and some minutes; worth it when the agent's code has changed a lot. A name that is gone does no harm.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
"$root/provisioning/packages.sh" build service device sample bench
command -v valgrind > /dev/null || { echo "agent-order.sh: valgrind is missing; install it" >&2; exit 1; }
state=$(mktemp -d /tmp/wherry-order.XXXXXX)
chmod 0755 "$state"
bin=$state/bin port=${WHERRY_PORT:-9643} id=o net=92
rm -f "$root"/.build/release/device/release/wherry-agent
WHERRY_LINK_MAPS=$state "$root/provisioning/build.sh" "$bin"
# shellcheck source=provisioning/fleet.sh
. "$root/provisioning/fleet.sh"
finish() {
  local status=$?
  trap - EXIT
  set +e
  take_down_fleet || status=1
  [ "$status" != 0 ] || rm -rf "$state"
  exit "$status"
}
trap finish EXIT

# traced_agent OUT: the agent under valgrind; OUT gets the 16-byte lines of its program that it touched.
traced_agent() {
  mkfifo "$1.pipe"
  "$root/provisioning/agent_order.py" lines < "$1.pipe" > "$1" &
  lines=$!
  : > "$state/order-1/agent.log"
  valgrind --tool=lackey --trace-mem=yes --log-fd=9 "$bin/wherry-agent" run --config "$state/order-1/agent.conf" \
    >> "$state/order-1/agent.log" 2>&1 9> "$1.pipe" &
  agent=$!
  fleet_pids+=("$agent")
  wait_for 600 "the agent's connection" grep -q 'connected to the broker' "$state/order-1/agent.log"
}
end_traced_agent() {
  stop "$agent"
  wait "$lines"
}
# Valgrind knows no open_tree(2), so nothing is launched under it and the deployments fail there: what a launch runs keeps
# the places that it has in the present list.
deploy() { "$bin/wherry" deploy --group order "$@" --watch > /dev/null || true; }

start_registry > "$state/setup.log" 2>&1
start_service >> "$state/setup.log" 2>&1
"$bin/wherry" group create order > /dev/null
add_device order-1 order >> "$state/setup.log" 2>&1
for recipe in hello/1.0.0 hello/2.0.0 web/1.0.0; do
  "$bin/wherry" component publish "$state/components/com.example.$recipe" > /dev/null
done
stop "$agent"
traced_agent "$state/deploying"
deploy com.example.hello=1.0.0 com.example.web=1.0.0
deploy com.example.hello=2.0.0 com.example.web=1.0.0
end_traced_agent
traced_agent "$state/idle"
# Two keep-alives and a telemetry sample belong to an idle agent's day.
sleep 60
end_traced_agent
"$root/provisioning/agent_order.py" order "$state/wherry-agent.map" "$state/idle" "$state/deploying" \
  > "$state/agent.order"
# Names that only the present list has, in its order.
awk 'NR == FNR { seen[$0] = 1; next } !($0 in seen)' "$state/agent.order" "$root/provisioning/agent.order" \
  > "$state/kept"
cat "$state/kept" >> "$state/agent.order"
mv "$state/agent.order" "$root/provisioning/agent.order"
echo "agent-order.sh: $(wc -l < "$root/provisioning/agent.order") sections"
