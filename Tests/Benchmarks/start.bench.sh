# A container of /bin/true started, awaited and removed by the isolation engine, beside `crun run` without seccomp
# Ours: all namespaces, own users, overlay, cgroup, the default seccomp filter, a shim that keeps its log; in the
# process that the agent is. In turn with it crun (a plain directory as root, no seccomp), `podman run --network none`,
# and a C program that makes the same container and does nothing else (floor.c: no shim, no log, no checks), by its own
# clock and as a command, which is how the others are timed. A pause before each lets the kernel clean up after the last.

# shellcheck source=Tests/Benchmarks/isolation.sh
. "$here/isolation.sh"
build_engine
gcc -O2 -o "$state/floor" "$here/floor.c"
import_peer_image
bundle=$state/bundle
mkdir -p "$bundle"
cp -a "$layer" "$bundle/rootfs"
(cd "$bundle" && crun spec)
python3 - "$bundle/config.json" << 'PYTHON'
import json, sys
with open(sys.argv[1]) as file: config = json.load(file)
config["process"].update(terminal=False, args=["/bin/true"])
config["linux"].pop("seccomp", None)
with open(sys.argv[1], "w") as file: json.dump(config, file)
PYTHON
unified=/sys/fs/cgroup
[ ! -d "$unified/unified" ] || unified=$unified/unified
mkdir -p "$state/scratch"
# The controllers that the engine uses where they are v1's.
legacy=()
for controller in cpu memory pids; do
  [ ! -e "/sys/fs/cgroup/$controller/tasks" ] || legacy+=("/sys/fs/cgroup/$controller/wherry-floor")
done

# timed FILE COMMAND…: its milliseconds.
timed() {
  local file=$1 start
  shift
  start=$(now)
  "$@" > /dev/null 2> "$state/error" || { echo "start.bench.sh: $* failed: $(tail -n 1 "$state/error")" >&2; exit 1; }
  echo $((($(now) - start) / 1000)) >> "$file"
}
open_engine own
for run in 0 $(seq "$runs"); do
  # The first of each is not counted: what is read from the disk then is in memory afterwards.
  kept=$state/runs
  [ "$run" != 0 ] || kept=$state/first
  mkdir -p "$kept"
  sleep 0.1
  engine run >> "$kept/ours"
  sleep 0.1
  timed "$kept/crun" in_peer_view crun --root "$state/crun" run --bundle "$bundle" "bench-$run"
  sleep 0.1
  # The filter that the engine has compiled and kept.
  floor=("$state/floor" "$engine_run"/seccomp/*.bpf "$layer" "$state/scratch" "$unified/wherry-floor" "${legacy[@]}")
  "${floor[@]}" >> "$kept/floor"
  sleep 0.1
  timed "$kept/floor-command" "${floor[@]}"
  sleep 0.1
  timed "$kept/podman" peer_podman run --rm --network none localhost/bench:1 /bin/true
done
close_engine
for name in ours crun floor floor-command podman; do
  awk '{ print $1 / 1000 }' "$state/runs/$name" | statistics "$name, ms"
done
ratio start "the floor by its own clock" "$state/runs/ours" "$state/runs/floor"
ratio start "the floor as a command" "$state/runs/ours" "$state/runs/floor-command"
ratio start "podman run" "$state/runs/ours" "$state/runs/podman"
ratio start "crun run without seccomp" "$state/runs/ours" "$state/runs/crun"
