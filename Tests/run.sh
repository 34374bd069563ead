#!/usr/bin/env bash
# Installs what the tests need and runs all of them; closes with the Swift test runner's summary.
#   Tests/run.sh [swift test arguments, for example --filter Planning]
# Tests that make namespaces, mounts and cgroups need root: with sudo they get it, without they say that they skip.
#   WHERRY_REQUIRE_ALL=1     a test that skips because root or a program is missing fails the run
#   WARNINGS_AS_ERRORS=1     a warning in Wherry's own code fails the build
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
"$root/provisioning/packages.sh" build service device sample test
command -v swift > /dev/null || {
  echo "Tests/run.sh: no Swift toolchain on the PATH; install Swift 6.3 from https://www.swift.org/install/linux/" >&2
  exit 1
}
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

as_root=()
if [ "$(id -u)" != 0 ]; then
  if command -v sudo > /dev/null; then
    as_root=(sudo --preserve-env env "PATH=$PATH")
  else
    echo "Tests/run.sh: neither root nor sudo, so the tests of namespaces, mounts and cgroups will say that they skip"
  fi
fi
# Left to itself the runner begins every test at once: one that waits then comes to its turn behind all that do not,
# and its time limit runs meanwhile. A few at a time keep every core busy and every limit meaningful.
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH="${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:-$((2 * $(nproc)))}"
# A crash is reported without the interactive backtracer, which can hold a pipe open for minutes.
"${as_root[@]}" env SWIFT_BACKTRACE=enable=no swift test --skip-build "$@" 2>&1 | tee "$log"

skipped='^SKIPPED|^skipped: |not root|^not (tested|compared)|network tests skipped|no static busybox|no wherry-shim'
if [ -n "${WHERRY_REQUIRE_ALL:-}" ] && grep -aE "$skipped" "$log" >&2; then
  echo "Tests/run.sh: the tests above skipped, which WHERRY_REQUIRE_ALL forbids" >&2
  exit 1
fi
