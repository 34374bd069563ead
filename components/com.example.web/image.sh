#!/usr/bin/env bash
# Makes the images of com.example.web (versions 1.0.0 to 3.0.0) out of Debian's busybox-static, as an OCI image layout
# of two layers, and pushes them to a registry. Equal inputs give equal digests: names sorted, times fixed.
#
#   image.sh build LAYOUT             make the layout directory LAYOUT, a tag per version
#   image.sh push LAYOUT REGISTRY     copy every tag to REGISTRY/example/web (plain HTTP is right for a loopback one)
#   image.sh recipes OUT REGISTRY     write the recipes with REGISTRY in their image references to OUT/<version>/
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
versions="1.0.0 2.0.0 3.0.0"
architecture=$(dpkg --print-architecture)

die() { echo "image.sh: $1" >&2; exit 1; }

digest() { sha256sum "$1" | cut -d' ' -f1; }

# put FILE: moves it under its digest into the layout's blobs and prints the digest.
put() {
  local name
  name=$(digest "$1")
  mv "$1" "$layout/blobs/sha256/$name"
  echo "$name"
}

# layer TREE: packs TREE as a gzip layer; prints "digest size diffID".
layer() {
  local tar=$work/layer.tar diff name
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -C "$1" -cf "$tar" .
  diff=$(digest "$tar")
  gzip -n -9 "$tar"
  name=$(put "$tar.gz")
  echo "$name $(stat -c %s "$layout/blobs/sha256/$name") $diff"
}

build() {
  layout=$1
  [ -x /bin/busybox ] || die "/bin/busybox is missing; install Debian's busybox-static"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  rm -rf "$layout" && mkdir -p "$layout/blobs/sha256"

  # Layer 1, shared by every version: the static busybox and the accounts.
  local base=$work/base
  mkdir -p "$base"/{bin,etc,tmp,srv,proc,sys,dev}
  cp /bin/busybox "$base/bin/busybox"
  for applet in sh cat mkdir printf echo ls ps id sleep true; do ln -s busybox "$base/bin/$applet"; done
  printf 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/srv:/bin/sh\n' > "$base/etc/passwd"
  printf 'root:x:0:\nweb:x:1000:\n' > "$base/etc/group"
  chmod -R u=rwX,go=rX "$base" && chmod 1777 "$base/tmp"
  read -r base_digest base_size base_diff < <(layer "$base")

  local manifests="" version top
  for version in $versions; do
    # Layer 2: the entrypoint and the version.
    top=$work/top-$version
    mkdir -p "$top/srv"
    install -m 0755 "$here/image/serve" "$top/srv/serve"
    echo "$version" > "$top/srv/version"
    chmod -R u=rwX,go=rX "$top" && chmod 0755 "$top/srv/serve"
    read -r top_digest top_size top_diff < <(layer "$top")

    printf '{"architecture":"%s","config":{"Entrypoint":["/srv/serve"],"Env":["PATH=/bin"],"User":"1000:1000","WorkingDir":"/srv"},"os":"linux","rootfs":{"diff_ids":["sha256:%s","sha256:%s"],"type":"layers"}}' \
      "$architecture" "$base_diff" "$top_diff" > "$work/config"
    config_size=$(stat -c %s "$work/config")
    config_digest=$(put "$work/config")
    local media=application/vnd.oci.image
    printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{"mediaType":"%s.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"%s.layer.v1.tar+gzip","digest":"sha256:%s","size":%s},{"mediaType":"%s.layer.v1.tar+gzip","digest":"sha256:%s","size":%s}]}' \
      $media $media "$config_digest" "$config_size" $media "$base_digest" "$base_size" $media "$top_digest" "$top_size" \
      > "$work/manifest"
    manifest_size=$(stat -c %s "$work/manifest")
    manifest_digest=$(put "$work/manifest")
    manifests+=$(printf '%s{"mediaType":"%s.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"%s"},"platform":{"architecture":"%s","os":"linux"}}' \
      "${manifests:+,}" $media "$manifest_digest" "$manifest_size" "$version" "$architecture")
  done
  printf '{"schemaVersion":2,"manifests":[%s]}' "$manifests" > "$layout/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}' > "$layout/oci-layout"
}

push() {
  command -v skopeo > /dev/null || die "skopeo is missing; install Debian's skopeo"
  local version
  for version in $versions; do
    skopeo --insecure-policy copy --quiet --dest-tls-verify=false \
      "oci:$1:$version" "docker://$2/example/web:$version"
  done
}

recipes() {
  local version
  for version in $versions; do
    mkdir -p "$1/$version"
    sed "s|REGISTRY/|$2/|; s| # image.sh puts the registry in||" "$here/$version/recipe.yaml" > "$1/$version/recipe.yaml"
  done
}

case "${1:-}" in
  build) [ $# = 2 ] || die "usage: image.sh build LAYOUT"; build "$2" ;;
  push) [ $# = 3 ] || die "usage: image.sh push LAYOUT REGISTRY"; push "$2" "$3" ;;
  recipes) [ $# = 3 ] || die "usage: image.sh recipes OUT REGISTRY"; recipes "$2" "$3" ;;
  *) sed -n '2,9p' "$0"; exit 2 ;;
esac
