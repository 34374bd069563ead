# Bytes that come from the registry for the next version of a 6-layer image in which one layer changed
# Counted by a proxy, with manifests, requests of the service and headers, beside the size of that layer.

# shellcheck source=Tests/Benchmarks/pull.sh
. "$here/pull.sh"
need_space "$runs"
start_counted_fleet
publish_pull 1.0.0 base
publish_pull 1.1.0 changed
for run in $(seq "$runs"); do
  fresh_device "pull-$run"
  deploy_pull "pull-$run" 1.0.0
  arrival 1 > /dev/null
  before=$(brought)
  deploy_pull "pull-$run" 1.1.0
  arrival 2 > /dev/null
  after=$(brought)
  echo $((${after% *} - ${before% *})) >> "$state/bytes"
  stop "$agent"
done
statistics "bytes for one layer of $changed_bytes bytes" < "$state/bytes"
echo "pull-changed value $(median "$state/bytes") bytes"
