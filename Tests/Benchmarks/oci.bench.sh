# A container of /bin/true created, started, awaited and deleted by `wherry-oci run`, beside `crun run` of the same bundle
# Both in a view without the v2 hierarchy, which crun 1.8 needs on hybrid hosts; the bundle is the one that
# `wherry-oci spec` proposes, less the cgroup mount and rules for devices, in which the two differ.

command -v crun > /dev/null || { echo "oci.bench.sh: crun is missing; run provisioning/packages.sh peer" >&2; exit 1; }
bundle=$state/bundle
mkdir -p "$bundle/rootfs/bin"
cp /bin/busybox "$bundle/rootfs/bin/true"
"$bin/wherry-oci" spec --bundle "$bundle"
python3 - "$bundle/config.json" << 'PYTHON'
import json, sys
with open(sys.argv[1]) as file: config = json.load(file)
config["ociVersion"] = "1.0.2"
config["process"].update(terminal=False, args=["/bin/true"])
config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
del config["linux"]["resources"]
with open(sys.argv[1], "w") as file: json.dump(config, file)
PYTHON

# One container of each, in turn.
cat > "$state/rounds" << ROUNDS
umount /sys/fs/cgroup/unified 2> /dev/null
take() {
  local file=\$1 start=\$(date +%s%N)
  shift
  "\$@" > /dev/null || { echo "oci.bench.sh: \$* failed" >&2; exit 1; }
  echo \$(((\$(date +%s%N) - start) / 1000)) >> "\$file"
}
for run in 0 \$(seq $runs); do
  # The first of each is not counted: what is read from the disk then is in memory afterwards.
  [ "\$run" != 0 ] || { ours=/dev/null theirs=/dev/null; }
  take "\${ours:-$state/ours}" "$bin/wherry-oci" --root "$state/run-ours" run --bundle "$bundle" "bench-\$run"
  take "\${theirs:-$state/theirs}" crun --root "$state/run-theirs" run --bundle "$bundle" "bench-\$run"
  unset ours theirs
done
ROUNDS
unshare -m --propagation private bash "$state/rounds"

awk '{ print $1 / 1000 }' "$state/ours" | statistics "wherry-oci run, ms"
awk '{ print $1 / 1000 }' "$state/theirs" | statistics "crun run, ms"
ratio oci "crun run" "$state/ours" "$state/theirs"
