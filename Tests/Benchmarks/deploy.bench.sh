# From `wherry deploy` to the component's process running, beside `podman run --network none` of the same image
# Both make a file in a directory of the host as the process's first act; what is measured is that file's time less the
# time before the command. Through our service, broker and agent; artifacts and image are cached on both sides.

# shellcheck source=Tests/Benchmarks/podman.sh
. "$here/podman.sh"
start_fleet 3
mkdir -p "$state/out" "$state/bench"
chmod 0777 "$state/out"
cat > "$state/bench/recipe.yaml" << RECIPE
RecipeFormatVersion: "2020-01-25"
ComponentName: com.example.bench
ComponentVersion: "1.0.0"
ComponentConfiguration: { DefaultConfiguration: { run: none } }
Manifests:
  - Container:
      Image: $registry/example/web:1.0.0
      Command: ["/bin/sh", "-c", "mkdir /out/\$RUN && exec sleep 100000"]
      Env: { RUN: "{configuration:/run}" }
      Network: none
      Volumes: [{ HostPath: $state/out, Path: /out }]
      Stop: { Signal: SIGKILL, Timeout: 1s }
RECIPE
wherry component publish "$state/bench/recipe.yaml" > /dev/null

# The device that measures alone, and the group for the second figure.
deploy() { wherry deploy "$1" "$2" com.example.bench=1.0.0 --merge "com.example.bench={\"run\":\"$3\"}" --waves 100% --settle 0s "${@:4}"; }
deploy --device bench-1 warm-1 --watch > /dev/null
# made DIRECTORY: when it appeared, in nanoseconds.
made() { stat -c %.9Y "$state/out/$1" | tr -d .; }

peer_podman pull -q --tls-verify=false "$registry/example/web:1.0.0" > /dev/null

for run in $(seq "$runs"); do
  start=$(now)
  peer_podman run -d --network none -v "$state/out:/out" --entrypoint /bin/sh "$registry/example/web:1.0.0" \
    -c "mkdir /out/peer-$run && exec sleep 100000" > "$state/container"
  wait_for 10 "the peer's process" test -d "$state/out/peer-$run"
  awk -v a="$(made "peer-$run")" -v b="$start" 'BEGIN { print (a - b) / 1e6 }' >> "$state/theirs"
  peer_podman rm -f -t 0 "$(cat "$state/container")" > /dev/null

  start=$(now)
  deploy --device bench-1 "ours-$run" > /dev/null
  wait_for 10 "our process" test -d "$state/out/ours-$run"
  awk -v a="$(made "ours-$run")" -v b="$start" 'BEGIN { print (a - b) / 1e6 }' >> "$state/ours"
  wherry deployment watch "$(wherry deployment list -o json | grep -o '"id":[0-9]*' | head -n 1 | cut -d: -f2)" > /dev/null
done

deploy --group bench all-warm --watch > /dev/null
for run in $(seq "$runs"); do
  start=$(now)
  deploy --group bench "all-$run" --watch > /dev/null
  echo $((($(now) - start) / 1000000)) >> "$state/committed"
done

for run in $(seq "$runs"); do
  stop "$agent"
  : > "$state/bench-3/agent.log"
  start=$(now)
  start_agent bench-3
  wait_for 5 "the agent" grep -q ready "$state/bench-3/agent.log"
  # The agent says how long it took, since a look every 20 ms would be coarser than what it measures.
  sed -n 's/.*ready.*milliseconds=\([0-9]*\).*/\1/p' "$state/bench-3/agent.log" | head -n 1 >> "$state/agent-start"
done

statistics "wherry deploy to process, ms" < "$state/ours"
statistics "podman run to process, ms" < "$state/theirs"
statistics "wherry deploy to three devices committed, ms" < "$state/committed"
statistics "agent start to ready, ms" < "$state/agent-start"
ratio deploy "podman run" "$state/ours" "$state/theirs"
