# Fifty containers started at once by the isolation engine, beside fifty `podman run -d --network none` at once
# Until the last of them runs. Podman may start as many at a time as there are processors, which is its fastest here.

# shellcheck source=Tests/Benchmarks/isolation.sh
. "$here/isolation.sh"
count=50
build_engine
import_peer_image
open_engine own
for run in 0 $(seq "$runs"); do
  kept=$state/runs
  # The first of each is not counted.
  [ "$run" != 0 ] || kept=$state/first
  mkdir -p "$kept"
  engine "hold $count" >> "$kept/ours"
  engine drop > /dev/null
  start=$(now)
  export -f peer_podman in_peer_view
  export peer_home peer_namespace
  seq "$count" | xargs -P "$(nproc)" -I '{}' bash -c 'peer_podman run -d --network none localhost/bench:1 /bin/sleep 100000' > /dev/null
  echo $((($(now) - start) / 1000)) >> "$kept/podman"
  peer_podman rm -fa -t 0 > /dev/null
done
close_engine
for name in ours podman; do awk '{ print $1 / 1000 }' "$state/runs/$name" | statistics "$name, ms"; done
ratio start-many "podman run -d" "$state/runs/ours" "$state/runs/podman"
