# From `wherry deploy` to a 6-layer gzip image of about 170 MB unpacked on a fresh device, beside `podman pull` of it
# Ours goes through service, broker and agent and ends with everything on the disk, both digests of each layer checked;
# podman pulls into a fresh store and leaves the writing to the kernel.

"$root/provisioning/packages.sh" peer
# shellcheck source=Tests/Benchmarks/pull.sh
. "$here/pull.sh"
need_space $((runs + 1))
start_fleet 0
make_image
copy_image "oci:$state/pull-image:base" "docker://$registry/bench/pull:gzip"
publish_pull 1.0.0 gzip
echo "image: $image_bytes bytes in gzip layers"
compare_pulls pull gzip
