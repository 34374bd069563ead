# Time from the start of the inventory service to ready, on an empty data directory
# From the shell's fork to the line that says so: CA, keys, database and broker are made in that time.

start_registry > "$state/setup.log" 2>&1
for run in $(seq "$runs"); do
  start=$(now)
  start_service >> "$state/setup.log" 2>&1
  # The login that follows the service's line is in the figure, too; the service says its own part.
  echo $((($(now) - start) / 1000000)) >> "$state/first"
  stop "$service"
  # The same directory again, as after a restart.
  start=$(now)
  start_service >> "$state/setup.log" 2>&1
  echo $((($(now) - start) / 1000000)) >> "$state/again"
  stop "$service"
  rm -rf "$state/inventory" "$state/admin.token"
done
statistics "first start to ready and logged in, ms" < "$state/first"
statistics "restart to ready and logged in, ms" < "$state/again"
echo "ready value $(median "$state/first") ms"
