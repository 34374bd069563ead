# Memory (PSS) that one running container costs beside its own processes: wherry-shim, beside podman's conmon
# Twenty containers that sleep on either side; the mean over them.

# shellcheck source=Tests/Benchmarks/isolation.sh
. "$here/isolation.sh"
count=20
build_engine
import_peer_image
# mean_pss NAME: in kB, of the processes of that name that are ours.
mean_pss() {
  local pid
  for pid in $(pgrep -x "$1"); do
    if grep -q "$state" "/proc/$pid/cmdline" "/proc/$pid/environ" 2> /dev/null; then
      awk '$1 == "Pss:" { print $2 }' "/proc/$pid/smaps_rollup"
    fi
  done | awk '{ sum += $1 } END { if (NR == 0) exit 1; printf "%.1f\n", sum / NR }'
}
open_engine own
for _ in $(seq "$runs"); do
  engine "hold $count" > /dev/null
  mean_pss wherry-shim >> "$state/ours"
  engine drop > /dev/null
  for _ in $(seq "$count"); do
    peer_podman run -d --network none localhost/bench:1 /bin/sleep 100000 > /dev/null
  done
  mean_pss conmon >> "$state/theirs"
  peer_podman rm -fa -t 0 > /dev/null
done
close_engine
statistics "wherry-shim, kB" < "$state/ours"
statistics "conmon, kB" < "$state/theirs"
ratio overhead conmon "$state/ours" "$state/theirs"
