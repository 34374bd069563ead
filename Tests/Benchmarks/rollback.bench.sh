# From a component that breaks to the version before it running again, through a real service, broker and agent
# The new version exits at once. Its third failure makes it BROKEN; the time from there to the end of the rollback is
# taken from the agent's log and the device's last start of the old version. There is no peer that rolls back.

start_fleet 1
mkdir -p "$state/out" "$state/bench"
chmod 0777 "$state/out"
recipe() {
  cat > "$state/bench/$1.yaml" << RECIPE
RecipeFormatVersion: "2020-01-25"
ComponentName: com.example.bench
ComponentVersion: "$1"
Manifests:
  - Lifecycle:
      run: |
        $2
RECIPE
  wherry component publish "$state/bench/$1.yaml" > /dev/null
}
recipe 1.0.0 'echo started; exec sleep 100000'
agent_log=$state/bench-1/agent.log
deploy() { wherry deploy --device bench-1 "com.example.bench=$1" --waves 100% --watch; }
deploy 1.0.0 > /dev/null

# stamp TEXT: the time of the last line of the agent's log with TEXT, in seconds.
stamp() { date -d "$(grep -F "$1" "$agent_log" | tail -n 1 | grep -oE '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z' | head -n 1)" +%s.%N; }

for run in $(seq "$runs"); do
  recipe "2.0.$run" 'echo broken; exit 1'
  deploy "2.0.$run" > "$state/watch" 2>&1 || true
  grep -q rollingBack "$state/watch" || { cat "$state/watch" >&2; exit 1; }
  # Three tries of the new version, then the old one again.
  wait_for 10 "the old version" sh -c "[ \$(grep -cF 'started workload=com.example.bench.run' '$agent_log') -ge $((1 + run * 4)) ]"
  broken=$(stamp "component is BROKEN")
  again=$(stamp "started workload=com.example.bench.run")
  awk -v a="$again" -v b="$broken" 'BEGIN { printf "%.3f\n", a - b }' >> "$state/rollback"
done

awk '{ print $1 * 1000 }' "$state/rollback" | statistics "rollback after BROKEN, ms"
echo "rollback value $(median "$state/rollback") s"
