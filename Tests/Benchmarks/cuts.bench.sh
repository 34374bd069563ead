# Power cuts and kills between the writes of a device's journal that it survives, a thousand for each run
# A cut loses or tears what was not synced; the device must come up in the old state or the new one. No peer has such a
# test. The seeds are the same each time: Tests/WherryAgentTests/PowerCutTests.swift.

WHERRY_CUTS=$((runs * 1000)) swift test --package-path "$root" --filter PowerCutTests > "$state/cuts.log" 2>&1 \
  || { tail -n 40 "$state/cuts.log" >&2; exit 1; }
sed -n 's/^power cuts survived: \([0-9]*\) of \([0-9]*\)$/cuts value \1 of \2/p' "$state/cuts.log" | grep .
