# Sourced by the benchmarks that pull: the image, devices with nothing on them, and the peer with nothing in its store.
# Nothing is removed before the end: making files where as many have just been removed takes ext4 several times as long.

# In KiB, of one pull of both sides.
pull_space=1400000

# need_space PULLS: refuses to begin what the disk cannot hold to its end.
need_space() {
  local free
  free=$(df --output=avail -k "$state" | tail -n 1)
  [ "$free" -gt $(($1 * pull_space)) ] || die "$1 pulls take $(($1 * pull_space / 1000000)) GB under $state, where $((free / 1000000)) are free; give a smaller number of runs"
}

# make_image: the layout, and its sizes as image_bytes and changed_bytes.
make_image() {
  python3 "$here/image.py" "$state/pull-image" > "$state/pull-sizes"
  image_bytes=$(awk '$1 == "image" { print $2 }' "$state/pull-sizes")
  changed_bytes=$(awk '$1 == "changed" { print $2 }' "$state/pull-sizes")
}

copy_image() { skopeo --insecure-policy copy --quiet --dest-tls-verify=false "$@"; }

# publish_pull VERSION TAG: the component com.example.pull of that version, with that tag of the image.
publish_pull() {
  cat > "$state/pull-$1.yaml" << RECIPE
RecipeFormatVersion: "2020-01-25"
ComponentName: com.example.pull
ComponentVersion: "$1"
Manifests:
  - Container:
      Image: $registry/bench/pull:$2
      Command: ["/bin/busybox", "sleep", "100000"]
      Network: none
      Stop: { Signal: SIGKILL, Timeout: 1s }
RECIPE
  wherry component publish "$state/pull-$1.yaml" > /dev/null
}

# fresh_device NAME: one with nothing on its disk, connected; its log is $log.
fresh_device() {
  log=$state/$1/agent.log
  add_device "$1" bench >> "$state/setup.log" 2>&1
  wait_for 20 "the connection of $1" grep -q 'connected to the broker' "$log"
  # Neither side pays for what the other has left to be written.
  sync
}

deploy_pull() { wherry deploy --device "$1" "com.example.pull=$2" --waves 100% --settle 0s > /dev/null; }

# arrival N: waits for the Nth time that everything is here, and gives it in nanoseconds since 1970.
arrival() {
  local line
  line=$(timeout 600 grep -m "$1" 'everything is here' < <(tail -n +1 -f --pid=$$ "$log") | tail -n 1) || true
  [ -n "$line" ] || die "the image did not come; the log is $log"
  date -d "${line%% *}" +%s%N
}

# pull_ours RUN: milliseconds from the command to "everything is here": on the disk, verified, unpacked, ready to run.
pull_ours() {
  local start end
  fresh_device "pull-$1"
  start=$(now)
  deploy_pull "pull-$1" 1.0.0
  end=$(arrival 1)
  echo $(((end - start) / 1000000))
  stop "$agent"
}

# peer_pull RUN TAG [COMMAND]: into a store with nothing in it; COMMAND runs podman.
peer_pull() {
  local home=$state/peer-$1
  mkdir -p "$home"
  printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' > "$home/containers.conf"
  CONTAINERS_CONF=$home/containers.conf "${@:3}" podman --root "$home/root" --runroot "$home/run" --tmpdir "$home/tmp" \
    --storage-driver overlay pull -q --tls-verify=false "$registry/bench/pull:$2"
}

# pull_theirs RUN TAG: milliseconds.
pull_theirs() {
  local start
  sync
  start=$(now)
  peer_pull "$1" "$2" > /dev/null
  echo $((($(now) - start) / 1000000))
}

# What containers' storage has mounted below its stores.
peer_down() {
  awk -v below="$state/peer-" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l
}

# compare_pulls NAME TAG: both sides in turn, and the closing line; then once more each for their memory.
compare_pulls() {
  local run memory ours theirs
  for run in $(seq "$runs"); do
    if [ $((run % 2)) = 0 ]; then pull_theirs "$run" "$2" >> "$state/theirs"; fi
    pull_ours "$run" >> "$state/ours"
    if [ $((run % 2)) = 1 ]; then pull_theirs "$run" "$2" >> "$state/theirs"; fi
  done
  python3 "$here/memory.py" watch wherry-fetch > "$state/memory" &
  memory=$!
  pull_ours memory > /dev/null
  kill "$memory"
  wait "$memory" || true
  ours=$(cat "$state/memory")
  theirs=$(peer_pull memory "$2" python3 "$here/memory.py" run)
  echo "wherry deploy, peak memory of all workers at one time: PSS ${ours% *} kB, RSS with shared pages counted anew in each: ${ours#* } kB"
  echo "podman pull, peak memory: RSS $theirs kB"
  statistics "wherry deploy to everything here, ms" < "$state/ours"
  statistics "podman pull, ms" < "$state/theirs"
  ratio "$1" "podman pull" "$state/ours" "$state/theirs"
}

# start_counted_fleet: as start_fleet without devices, but all that comes from the registry comes through a proxy.
start_counted_fleet() {
  local front=$registry
  registry=127.0.0.1:$((port + 13))
  start_registry > "$state/setup.log" 2>&1
  make_image
  copy_image "oci:$state/pull-image:base" "docker://$registry/bench/pull:base"
  copy_image "oci:$state/pull-image:changed" "docker://$registry/bench/pull:changed"
  back=$registry registry=$front
  start_proxy
  start_service >> "$state/setup.log" 2>&1
  wherry group create bench > /dev/null
}

# start_proxy [CUTS BYTES SEED]: counts what it brings, and cuts it off if told to.
start_proxy() {
  rm -f "$state/brought"
  python3 "$here/cutting-proxy.py" "$registry" "$back" "$state/brought" "$@" > "$state/proxy.log" 2>&1 &
  proxy=$!
  fleet_pids+=("$proxy")
  wait_for 10 "the proxy" test -e "$state/brought"
}

# brought: bytes that the registry's clients got so far, and how often they were cut off.
brought() {
  rm -f "$state/brought"
  kill -USR1 "$proxy"
  wait_for 10 "the proxy's count" test -e "$state/brought"
  cat "$state/brought"
}
