# Bytes that the agent and its workers write to disk per small deployment
# A new version of a process component with one small artifact, from the envelope to committed. The kernel adds what
# reaped children wrote to their parent's /proc/PID/io, so the download worker is in the figure.

start_fleet 1
pid=$(pgrep -f "wherry-agent run --config $state/bench-1/agent.conf")
written() { awk '$1 == "write_bytes:" { print $2 }' "/proc/$pid/io"; }
publish() {
  mkdir -p "$state/versions/$1"
  cp "$root/components/com.example.hello/1.0.0/hello.sh" "$state/versions/$1/"
  echo "# version $1" >> "$state/versions/$1/hello.sh"
  sed "s/\"1.0.0\"/\"$1\"/" "$root/components/com.example.hello/1.0.0/recipe.yaml" > "$state/versions/$1/recipe.yaml"
  wherry component publish "$state/versions/$1" > /dev/null
}
publish 1.1.0
wherry deploy --group bench com.example.hello=1.1.0 --watch > /dev/null
for run in $(seq "$runs"); do
  publish "1.2.$run"
  before=$(written)
  wherry deploy --group bench "com.example.hello=1.2.$run" --watch > /dev/null
  echo $(($(written) - before)) >> "$state/bytes"
done
statistics "bytes written per deployment" < "$state/bytes"
echo "writes value $(median "$state/bytes") bytes"
