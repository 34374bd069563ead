# The same as pull with the layers in zstd
# See pull.bench.sh.

"$root/provisioning/packages.sh" peer
# shellcheck source=Tests/Benchmarks/pull.sh
. "$here/pull.sh"
need_space $((runs + 1))
start_fleet 0
make_image
copy_image --dest-compress-format zstd --dest-compress-level 3 \
  "oci:$state/pull-image:base" "oci:$state/pull-image-zstd:base"
copy_image "oci:$state/pull-image-zstd:base" "docker://$registry/bench/pull:zstd"
publish_pull 1.0.0 zstd
compare_pulls pull-zstd zstd
