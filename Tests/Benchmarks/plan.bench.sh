# Planning and signing one deployment for 100,000 alike devices, committed in the outbox; no broker and no device take part
# There is no peer: nobody else signs for each device.

swift build -c release --package-path "$root" --product benchmark-plan > "$state/setup.log" 2>&1
mkdir "$state/plan"
"$(swift build -c release --package-path "$root" --show-bin-path)/benchmark-plan" "$state/plan" "$runs" > "$state/plan.times"

statistics "plan, ms" < "$state/plan.times"
echo "plan value $(median "$state/plan.times") ms"
