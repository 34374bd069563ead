# Memory (PSS) of the idle agent with two components, beside a bare C client of libmosquitto with TLS
# One agent and one client in turn, each started anew and connected to the same broker over mutual TLS: a device has one of
# them, so neither shares its libraries' pages with the other. No page-dropping on either side.

start_fleet 1
for component in hello web; do
  wherry component publish "$state/components/com.example.$component/1.0.0" > /dev/null
done
wherry deploy --group bench com.example.hello=1.0.0 com.example.web=1.0.0 --watch > /dev/null
# shellcheck disable=SC2046
gcc -O2 -o "$state/client" "$here/weight-client.c" $(pkg-config --cflags --libs libmosquitto)
strip "$state/client"

# Both programs are read from the disk as after a boot: of a file that has just been written the kernel holds large pieces
# in memory, and maps whole ones of 2 MB where a page is touched.
as_after_boot() {
  python3 -c 'import os, sys
for path in sys.argv[1:]:
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)' "$bin/wherry-agent" "$state/client"
}

memory() { awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/smaps_rollup"; }
anonymous() { awk '$1 == "RssAnon:" { print $2 }' "/proc/$1/status"; }
say_memory() {
  echo "$1: PSS $(memory "$2" Pss) kB, RSS $(memory "$2" Rss) kB, anonymous $(anonymous "$2") kB"
}
peer=""
peer_down() { [ -z "$peer" ] || kill "$peer"; }
trust=$state/bench-1/lib/trust

stop "$agent"
for _ in $(seq "$runs"); do
  as_after_boot
  : > "$state/bench-1/agent.log"
  start_agent bench-1
  wait_for 10 "the agent's connection" grep -q 'connected to the broker' "$state/bench-1/agent.log"
  # It has been idle for longer than it takes to give back what its start needed.
  sleep 5
  memory "$agent" Pss >> "$state/ours"
  say_memory agent "$agent"
  stop "$agent"
  # The client has a device's certificate and an identifier of its own.
  : > "$state/client.log"
  "$state/client" 127.0.0.1 "$broker" bench-1 "$trust/ca.crt" "$trust/device.crt" "$trust/device.key" \
    > "$state/client.log" 2>&1 &
  peer=$!
  wait_for 10 "the peer's connection" grep -q subscribed "$state/client.log"
  sleep 5
  memory "$peer" Pss >> "$state/theirs"
  say_memory client "$peer"
  kill "$peer"
  wait "$peer" 2> /dev/null || true
  peer=""
done
ratio weight "a C client of libmosquitto with TLS" "$state/ours" "$state/theirs"
