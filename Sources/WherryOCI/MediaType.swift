import WherryModel

/// The media types of the OCI image specification and Docker's older names for the same.
package enum MediaType {
  package static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
  package static let ociIndex = "application/vnd.oci.image.index.v1+json"
  package static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
  package static let dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
  package static let ociConfig = "application/vnd.oci.image.config.v1+json"
  static let dockerConfig = "application/vnd.docker.container.image.v1+json"

  package static let manifests: Set<String> = [ociManifest, dockerManifest]
  package static let indexes: Set<String> = [ociIndex, dockerList]

  /// What servers say that do not know better.
  private static let general: Set<String> = [
    "application/json", "application/octet-stream", "binary/octet-stream", "text/plain",
  ]

  /// Without parameters such as `charset`, in lower case.
  static func plain(_ header: String) -> String {
    header.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
  }

  /// The one type that a document's own `mediaType`, the registry's `Content-Type` and whoever named the document agree
  /// on; nil when they do not. Read as something else than it was checked as, a document could mean two things
  /// (distribution-spec, "Pulling manifests"; GHSA-mc8v-mgrf-8f4m).
  static func agreed(document: String?, header: String?, expected: String? = nil) -> String? {
    let header = header.flatMap { general.contains($0) || $0.isEmpty ? nil : $0 }
    let said = [expected, document, header].compactMap { $0 }
    return said.allSatisfy { $0 == said.first } ? said.first ?? "" : nil
  }

  private static let layers: [String: LayerCompression] = [
    "application/vnd.oci.image.layer.v1.tar": .none,
    "application/vnd.oci.image.layer.v1.tar+gzip": .gzip,
    "application/vnd.oci.image.layer.v1.tar+zstd": .zstd,
    "application/vnd.docker.image.rootfs.diff.tar": .none,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": .gzip,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": .zstd,
  ]

  /// As OCI calls a layer; Docker's names are older.
  package static func ociLayer(_ compression: LayerCompression) -> String {
    let plain = "application/vnd.oci.image.layer.v1.tar"
    return compression == .none ? plain : "\(plain)+\(compression.rawValue)"
  }

  /// nil for anything that is not a layer to unpack; "foreign" and "nondistributable" layers among it, since their
  /// bytes come from wherever the image says.
  package static func compression(ofLayer type: String) -> LayerCompression? { layers[type] }
}
