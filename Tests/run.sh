#!/usr/bin/env bash
# Installs what the tests need and runs all of them; closes with the Swift test runner's summary.
#   Tests/run.sh [swift test arguments, for example --filter Planning]
# Tests that need root, a broker or a registry say aloud when they cannot run here.
# WARNINGS_AS_ERRORS=1 makes a warning in Wherry's own code fail the build.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
"$root/provisioning/packages.sh" build service device sample test
command -v swift > /dev/null || {
  echo "Tests/run.sh: no Swift toolchain on the PATH; install Swift 6.3 from https://www.swift.org/install/linux/" >&2
  exit 1
}
[ "$(id -u)" = 0 ] || echo "Tests/run.sh: not root, so the tests that make namespaces, mounts and cgroups will say that they skip"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! swift build --build-tests --explicit-target-dependency-import-check error > "$log" 2>&1; then
  grep -E 'error:' "$log" | sort -u | head -n 40 >&2 || true
  tail -n 20 "$log" >&2
  exit 1
fi
if [ -n "${WARNINGS_AS_ERRORS:-}" ] && grep -E "^$root/(Sources|Tests)/.*warning:" "$log" >&2; then
  echo "Tests/run.sh: the warnings above count as errors" >&2
  exit 1
fi

# A crash is reported without the interactive backtracer, which can hold a pipe open for minutes.
SWIFT_BACKTRACE=enable=no swift test --skip-build "$@"
