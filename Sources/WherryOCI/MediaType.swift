import WherryModel

/// The media types of the OCI image specification and Docker's older names for the same.
package enum MediaType {
  package static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
  package static let ociIndex = "application/vnd.oci.image.index.v1+json"
  package static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
  package static let dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
  static let ociConfig = "application/vnd.oci.image.config.v1+json"
  static let dockerConfig = "application/vnd.docker.container.image.v1+json"

  package static let manifests: Set<String> = [ociManifest, dockerManifest]
  package static let indexes: Set<String> = [ociIndex, dockerList]

  private static let layers: [String: LayerCompression] = [
    "application/vnd.oci.image.layer.v1.tar": .none,
    "application/vnd.oci.image.layer.v1.tar+gzip": .gzip,
    "application/vnd.oci.image.layer.v1.tar+zstd": .zstd,
    "application/vnd.docker.image.rootfs.diff.tar": .none,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": .gzip,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": .zstd,
  ]

  /// nil for anything that is not a layer to unpack; "foreign" and "nondistributable" layers among it, since their
  /// bytes come from wherever the image says.
  static func compression(ofLayer type: String) -> LayerCompression? { layers[type] }
}
