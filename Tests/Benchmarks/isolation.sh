# Shared by start, start-many and overhead: the isolation engine by itself.

# shellcheck source=Tests/Benchmarks/podman.sh
. "$here/podman.sh"
layer=$state/layer
mkdir -p "$layer"/{bin,etc,proc,sys,dev,tmp,run,var/tmp} "$state/engine"
cp /bin/busybox "$layer/bin/busybox"
for applet in sh true sleep; do ln -s busybox "$layer/bin/$applet"; done

build_engine() {
  swift build -c release --package-path "$root" --product benchmark-start > "$state/setup.log" 2>&1
  engine_program=$(swift build -c release --package-path "$root" --show-bin-path)/benchmark-start
}

# Agents keep the state of what runs in memory: /run is a tmpfs wherever systemd is, but not in every container.
engine_run=$state/engine/run
mkdir -p "$engine_run"
mount -t tmpfs none "$engine_run"

# open_engine own|host: it then does what `engine LINE` says and gives its answer.
open_engine() {
  coproc ENGINE { exec "$engine_program" "$state/engine" "$engine_run" "$bin/wherry-shim" "$layer" "$1" 2> "$state/engine.log"; }
}
engine() {
  local answer
  echo "$1" >&"${ENGINE[1]}"
  read -r answer <&"${ENGINE[0]}" || { echo "the engine ended: $(tail -n 1 "$state/engine.log")" >&2; exit 1; }
  echo "$answer"
}
close_engine() {
  local pid=$ENGINE_PID
  eval "exec ${ENGINE[1]}>&-"
  wait "$pid"
  umount "$engine_run"
}

import_peer_image() { tar -C "$layer" -c . | peer_podman import -q - localhost/bench:1 > /dev/null; }
