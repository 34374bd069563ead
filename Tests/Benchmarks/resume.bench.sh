# All bytes that a pull of a 6-layer image takes on a link that is cut 20 times at random places, as a share of the image
# Counted by the proxy that cuts. Each cut hits every connection that is bringing a layer.

cuts=20
# shellcheck source=Tests/Benchmarks/pull.sh
. "$here/pull.sh"
need_space "$runs"
start_counted_fleet
publish_pull 1.0.0 base
for run in $(seq "$runs"); do
  fresh_device "pull-$run"
  stop "$proxy"
  start_proxy "$cuts" "$image_bytes" "$run"
  deploy_pull "pull-$run" 1.0.0
  arrival 1 > /dev/null
  taken=$(brought)
  [ "${taken#* }" = "$cuts" ] || echo "run $run: ${taken#* } cuts in place of $cuts"
  awk -v bytes="${taken% *}" -v image="$image_bytes" 'BEGIN { printf "%.4f\n", bytes / image }' >> "$state/shares"
  stop "$agent"
done
sort -g "$state/shares" | awk '{ v[NR] = $1 } END { printf "bytes over the size of the image: median %.4f, min %.4f, max %.4f, n %d\n", v[int((NR + 1) / 2)], v[1], v[NR], NR }'
echo "resume value $(median "$state/shares") images"
