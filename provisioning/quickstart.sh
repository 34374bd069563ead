#!/usr/bin/env bash
# Brings up a whole Wherry on this machine: the inventory service with its broker, a registry with the sample image,
# three agents with their own roots, cgroups and addresses; publishes the sample components and rolls them out.
#
#   provisioning/quickstart.sh           stays up until Ctrl-C, then takes everything down
#   provisioning/quickstart.sh --once    exits 0 after success (or 1 with the reason), taking everything down
#
# WHERRY_BIN names a directory with the programs; then nothing is built. So that several fit on one machine, WHERRY_PORT
# moves the ports (from 8443 up), WHERRY_NET the addresses (10.187.x.x) and WHERRY_ID the names in the kernel (q).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
once=""
case "${1:-}" in
  "") ;;
  --once) once=yes ;;
  *) sed -n '2,9p' "$0"; exit 2 ;;
esac
say() { printf '\n== %s\n' "$*"; }

bin=${WHERRY_BIN:-$root/.build/wherry}
if [ -z "${WHERRY_INSTALLED:-}" ]; then
  [ "$(uname -s)" = Linux ] || { echo "quickstart: this needs Linux; its kernel isolates the components" >&2; exit 1; }
  if [ -z "${WHERRY_BIN:-}" ]; then
    "$root/provisioning/build.sh" --check
    "$root/provisioning/packages.sh" build service device sample
    say "Building into $bin (the first time takes some minutes)"
    "$root/provisioning/build.sh" "$bin"
  else
    "$root/provisioning/packages.sh" service device sample
  fi
fi
if [ "$(id -u)" != 0 ]; then
  command -v sudo > /dev/null || {
    echo "quickstart: agents make namespaces and mounts, which needs root; install sudo or run as root" >&2
    exit 1
  }
  exec sudo env WHERRY_INSTALLED=yes WHERRY_BIN="$bin" WHERRY_PORT="${WHERRY_PORT:-8443}" \
    WHERRY_NET="${WHERRY_NET:-187}" WHERRY_ID="${WHERRY_ID:-q}" "$0" "$@"
fi

port=${WHERRY_PORT:-8443} id=${WHERRY_ID:-q} net=${WHERRY_NET:-187}
state=$(mktemp -d "${TMPDIR:-/tmp}/wherry-quickstart.XXXXXX")
# Workers and components do not run as root, and must be able to reach what is theirs below it.
chmod 0755 "$state"
# shellcheck source=provisioning/fleet.sh
. "$root/provisioning/fleet.sh"

finish() {
  local status=$?
  # Nothing interrupts this: neither an impatient second Ctrl-C, nor a terminal or reader that went away.
  trap - EXIT
  trap '' INT TERM HUP PIPE
  set +e
  say "Taking everything down"
  take_down_fleet || status=1
  case "$status" in
    0 | 129 | 130 | 143) rm -rf "$state" ;;
    *) echo "quickstart: failed; the logs are in $state" >&2 ;;
  esac
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

say "Registry with the sample image on $registry"
start_registry

say "Inventory service"
start_service
grep '^wherry-inventory ready' "$state/inventory.log"

say "Three devices"
"$bin/wherry" group create kiosks
for name in kiosk-1 kiosk-2 kiosk-3; do add_device "$name" kiosks; done
wait_for 20 "the connection of all three devices" all_online
"$bin/wherry" device list

say "Publishing the sample components"
"$bin/wherry" component publish "$state/components"

say "Rolling out to the group kiosks"
"$bin/wherry" deploy --group kiosks com.example.hello=1.0.0 com.example.web=1.0.0 --watch

say "What runs where"
"$bin/wherry" group show kiosks
for number in 1 2 3; do
  echo "kiosk-$number http://10.$net.$number.1:8080 answers:" \
    "$(curl -fsS --max-time 5 "http://10.$net.$number.1:8080/" | sed 's/<[^>]*>/ /g')"
done
echo
echo "Dashboard: https://127.0.0.1:$operators/ (token in $state/admin.token)"
[ -z "$once" ] || exit 0

cat << NEXT

Try, in another terminal (as root):
  export WHERRY_SESSION=$WHERRY_SESSION PATH=$bin:\$PATH
  wherry device logs kiosk-1 com.example.web -f
  wherry deploy --group kiosks com.example.hello=1.0.0 com.example.web=2.0.0 --watch
  wherry deploy --group kiosks com.example.hello=1.0.0 com.example.web=3.0.0 --waves 2,100% --watch   # broken on purpose
Ctrl-C takes everything down.
NEXT
# A signal is acted on as soon as the builtin wait is interrupted.
while :; do wait -n || true; kill -0 "$service" 2> /dev/null || die "the inventory service ended; see $state/inventory.log"; done
