#!/usr/bin/env bash
# Builds the seven programs in release form into OUT (default .build/wherry).
#   build.sh [OUT]             build what has changed
#   build.sh --device [OUT]    only the device's programs
#   build.sh --check           only look whether the Swift toolchain is there
# The device programs are built without the service's packages, by the lean recipe that Docs/operations.md explains.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

command -v swift > /dev/null || {
  echo "build.sh: no Swift toolchain on the PATH; install Swift 6.3 for Debian 12 from https://www.swift.org/install/linux/ and try again" >&2
  exit 1
}
version=$(swift --version 2> /dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
if [ "$(printf '%s\n6.1\n' "$version" | sort -V | head -n 1)" != 6.1 ]; then
  echo "build.sh: Swift $version is too old; Wherry needs 6.1 or newer (6.3 is what it is tested with)" >&2
  exit 1
fi
[ "${1:-}" != --check ] || exit 0

device_only=""
if [ "${1:-}" = --device ]; then
  device_only=yes
  shift
fi
out=${1:-$root/.build/wherry}
scratch=$root/.build/release
mkdir -p "$out" "$scratch/static-libs"
cd "$root"

# Asking the package manager four times whether anything is to be done takes longer than everything else that the
# quickstart does, so what has not changed since the last whole build is seen by the files' times.
stamp=$out/.built${device_only:+-device}
if [ -e "$stamp" ] && [ -z "$(find Package.swift Sources provisioning/build.sh provisioning/agent.order -newer "$stamp" -print -quit)" ]; then
  exit 0
fi
touch "$stamp.new"

# build NAME PRODUCT ARGUMENTS…: quiet unless it fails.
build() {
  local log=$scratch/$2.log made=$scratch/$1/release/$2
  # The package manager does not see that this list has changed.
  [ provisioning/agent.order -ot "$made" ] || rm -f "$made"
  swift build -c release --scratch-path "$scratch/$1" --product "$2" --static-swift-stdlib -debug-info-format none \
    "${@:3}" ${WHERRY_LINK_MAPS:+-Xlinker "-Map=$WHERRY_LINK_MAPS/$2.map"} > "$log" 2>&1 || {
    grep -E 'error:' "$log" | sort -u >&2 || tail -n 30 "$log" >&2
    echo "build.sh: $2 was not built; the whole output is in $log" >&2
    exit 1
  }
  if [ ! -e "$out/$2" ] || [ "$made" -nt "$out/$2" ]; then
    install -m 0755 -s "$made" "$out/$2.new"
    mv "$out/$2.new" "$out/$2"
  fi
}

[ -e "$(gcc -print-file-name=libstdc++.a)" ] || {
  echo "build.sh: libstdc++.a is missing; run provisioning/packages.sh build" >&2
  exit 1
}
# A directory that holds nothing but libstdc++.a makes the linker take it statically.
ln -sf "$(gcc -print-file-name=libstdc++.a)" "$scratch/static-libs/"
lean=(--disable-default-traits -Xswiftc -Osize -Xlinker "-L$scratch/static-libs" -Xswiftc -Xclang-linker -Xswiftc -no-pie
  -Xswiftc -Xclang-linker -Xswiftc -static-libgcc)
# The kernel maps 64 KiB of a program around each page that is touched, so what runs all day stands together: each
# function in a section of its own, and the sections in the order of a list that provisioning/agent-order.sh makes.
lean+=(-Xswiftc -use-ld=gold -Xswiftc -Xfrontend -Xswiftc -function-sections -Xcc -ffunction-sections
  -Xlinker --no-export-dynamic -Xlinker "--section-ordering-file=$root/provisioning/agent.order")
build_device() {
  local program
  for program in wherry-agent wherry-fetch wherry-recipe wherry-oci wherry-docker; do build device "$program" "${lean[@]}"; done
  # The shim is C alone: linked by the package manager it would carry the Swift runtime, once for every workload.
  gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Os -ffunction-sections -Wl,--gc-sections -static -s \
    -I Sources/CIsolation/include -o "$out/wherry-shim.new" Sources/wherry-shim/*.c Sources/CIsolation/*.c
  mv "$out/wherry-shim.new" "$out/wherry-shim"
}

if [ -n "$device_only" ]; then
  build_device
else
  # Beside the service's: that build is one long chain of modules, which leaves a core idle for minutes.
  # In a process group of its own, which ends with this script whatever happens.
  set -m
  build_device &
  device_build=$!
  set +m
  trap 'kill -TERM -- "-$device_build" 2> /dev/null || true' EXIT
  for program in wherry-inventory wherry; do build service "$program"; done
  wait "$device_build"
  trap - EXIT
fi
mv "$stamp.new" "$stamp"
