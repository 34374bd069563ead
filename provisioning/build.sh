#!/usr/bin/env bash
# Builds the five programs in release form into OUT (default .build/wherry):
#   build.sh [OUT]
# The device programs are built without the service's packages and with the lean recipe that Docs/operations.md explains.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/.build/wherry}
scratch=$root/.build/release-build

if ! command -v swift > /dev/null; then
  echo "build.sh: no Swift toolchain on the PATH; install Swift 6.3 for Debian 12 from https://www.swift.org/install/linux/ and try again" >&2
  exit 1
fi
version=$(swift --version 2> /dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
if [ "$(printf '%s\n6.1\n' "$version" | sort -V | head -n 1)" != 6.1 ]; then
  echo "build.sh: Swift $version is too old; Wherry needs 6.1 or newer (6.3 is what it is tested with)" >&2
  exit 1
fi

cd "$root"
mkdir -p "$out" "$scratch"

# Device programs. A directory that holds nothing but libstdc++.a makes the linker take it statically.
static=$scratch/static-libs
mkdir -p "$static"
ln -sf "$(gcc -print-file-name=libstdc++.a)" "$static/"
device() {
  swift build -c release --disable-default-traits --scratch-path "$scratch/device" --product "$1" \
    --static-swift-stdlib -Xswiftc -Osize -Xlinker "-L$static" "${@:2}"
}
lean=(-Xswiftc -Xclang-linker -Xswiftc -no-pie -Xswiftc -Xclang-linker -Xswiftc -static-libgcc)
for program in wherry-agent wherry-fetch wherry-shim; do device "$program" "${lean[@]}"; done

# Service and CLI.
for program in wherry-inventory wherry; do
  swift build -c release --scratch-path "$scratch/service" --product "$program" --static-swift-stdlib
done

install_program() { install -m 0755 -s "$1" "$out/$2.new" && mv "$out/$2.new" "$out/$2"; }
for program in wherry-agent wherry-fetch wherry-shim; do install_program "$scratch/device/release/$program" "$program"; done
for program in wherry-inventory wherry; do install_program "$scratch/service/release/$program" "$program"; done
