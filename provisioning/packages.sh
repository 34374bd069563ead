#!/usr/bin/env bash
# Installs the Debian packages that a purpose needs, and nothing when all are there.
#   packages.sh build|service|device|sample|peer|bench|test …
set -euo pipefail

packages_for() {
  case "$1" in
    build)
      echo libmosquitto-dev libssl-dev libsqlite3-dev libcurl4-openssl-dev libarchive-dev libseccomp-dev \
        libisal-dev libzstd-dev pkg-config gcc libc6-dev libstdc++-12-dev git
      ;;
    service) echo mosquitto ca-certificates ;;
    device) echo libisal2 libzstd1 nftables ca-certificates ;;
    sample) echo busybox-static docker-registry skopeo curl ;;
    peer) echo podman crun conmon util-linux ;;
    bench) echo procps python3 ;;
    test) echo openssl iproute2 procps python3 zstd chromium buildah ;;
    *) echo "packages.sh: unknown purpose \"$1\"; use build, service, device, sample, peer, bench or test" >&2; exit 2 ;;
  esac
}

wanted=()
for purpose in "$@"; do
  list=$(packages_for "$purpose")
  read -r -a more <<< "$list"
  wanted+=("${more[@]}")
done

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2> /dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo > /dev/null || {
    echo "packages.sh: these packages are missing and need root to install: ${missing[*]}; install sudo or run as root" >&2
    exit 1
  }
  sudo=(sudo)
fi
echo "Installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Their services must not start: the inventory service runs its own broker, the quickstart its own registry. A policy of
# the machine's own is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" > /dev/null
  "${sudo[@]}" chmod 0755 "$policy"
fi
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
# Nor at the next start of the machine.
for package in "${missing[@]}"; do
  case "$package" in
    mosquitto | docker-registry) "${sudo[@]}" systemctl --quiet disable "$package" 2> /dev/null || true ;;
  esac
done
