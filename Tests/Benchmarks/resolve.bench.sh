# Resolving 200 components of 20 versions, all wanted at once; no service and no device take part
# There is no peer: Greengrass asks its cloud for versions.

swift build -c release --package-path "$root" --product benchmark-resolve > "$state/setup.log" 2>&1
"$(swift build -c release --package-path "$root" --show-bin-path)/benchmark-resolve" "$runs" > "$state/resolve"

statistics "resolve, ms" < "$state/resolve"
echo "resolve value $(median "$state/resolve") ms"
