# Podman as a peer: `peer_podman`, and `in_peer_view` for crun.

"$root/provisioning/packages.sh" peer
# Podman keeps its state below ours; crun needs a view without the unified hierarchy on hybrid hosts.
peer_home=$state/podman
mkdir -p "$peer_home"
cat > "$peer_home/containers.conf" << CONF
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:20000", "nproc=1000:2000"]
CONF
unshare -m --propagation private sh -c 'umount /sys/fs/cgroup/unified 2> /dev/null; exec sleep 100000' &
peer_namespace=$!
in_peer_view() { nsenter -t "$peer_namespace" -m "$@"; }
peer_podman() {
  CONTAINERS_CONF=$peer_home/containers.conf in_peer_view podman --root "$peer_home/root" --runroot "$peer_home/run" \
    --tmpdir "$peer_home/tmp" --runtime crun "$@"
}
peer_down() {
  umount "$state/engine/run" 2> /dev/null
  peer_podman rm -fa -t 0 > /dev/null 2>&1
  kill "$peer_namespace"
  # With it go the mounts below its state, which is about to be removed.
  wait "$peer_namespace" 2> /dev/null
}
wait_for 5 "the peer's mount namespace" nsenter -t "$peer_namespace" -m true
