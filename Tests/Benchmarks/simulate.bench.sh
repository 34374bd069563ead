# A rollout in five waves to 10,000 simulated devices with ordinary faults, by `wherry simulate`
# There is no peer: nobody else rehearses.

for run in $(seq "$runs"); do
  start=$(now)
  wherry simulate --devices 10000 --seed "$run" --output json > "$state/story"
  awk -v a="$(now)" -v b="$start" 'BEGIN { print (a - b) / 1e9 }' >> "$state/ours"
done

statistics "simulate, s" < "$state/ours"
echo "simulate value $(median "$state/ours") s"
