#!/bin/sh
# Greets GREETING_NAME every $1 seconds.
set -eu
trap 'echo "hello: asked to stop, bye"; exit 0' TERM
count=0
while :; do
  count=$((count + 1))
  echo "hello again, $GREETING_NAME (greeting $count)"
  sleep "${1:-5}" &
  wait $!
done
