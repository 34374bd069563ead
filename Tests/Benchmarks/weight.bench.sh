# Memory (PSS) of the idle agent with two components, beside a bare C client of libmosquitto with TLS
# Both are connected to the same broker over mutual TLS. No page-dropping on either side.

start_fleet 3
wherry component publish "$state/components/com.example.hello/1.0.0" "$state/components/com.example.web/1.0.0" > /dev/null
wherry deploy --group bench com.example.hello=1.0.0 com.example.web=1.0.0 --watch > /dev/null
gcc -O2 -o "$state/client" "$here/weight-client.c" $(pkg-config --cflags --libs libmosquitto)
strip "$state/client"

memory() { awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/smaps_rollup"; }
anonymous() { awk '$1 == "RssAnon:" { print $2 }' "/proc/$1/status"; }
peers=()
peer_down() { kill "${peers[@]}"; }
for index in 1 2 3; do
  trust=$state/bench-$index/lib/trust
  "$state/client" 127.0.0.1 "$broker" "bench-$index" "$trust/ca.crt" "$trust/device.crt" "$trust/device.key" \
    > "$state/client-$index.log" 2>&1 &
  peers+=($!)
  wait_for 10 "the peer's connection" grep -q subscribed "$state/client-$index.log"
done

for index in 1 2 3; do
  pid=$(pgrep -f "wherry-agent run --config $state/bench-$index/agent.conf")
  peer=${peers[$((index - 1))]}
  memory "$pid" Pss >> "$state/ours"
  memory "$peer" Pss >> "$state/theirs"
  echo "agent $index: PSS $(memory "$pid" Pss) kB, RSS $(memory "$pid" Rss) kB, anonymous $(anonymous "$pid") kB;" \
    "client: PSS $(memory "$peer" Pss) kB, RSS $(memory "$peer" Rss) kB, anonymous $(anonymous "$peer") kB"
done
ratio weight "a C client of libmosquitto with TLS" "$state/ours" "$state/theirs"
