import WherryJSON
import WherryModel

/// A reference to content by digest, type and size (OCI image-spec, descriptor.md).
package struct Descriptor: Hashable, Sendable {
  package let mediaType: String
  package let digest: Digest
  package let size: Int64
  package let platform: ImagePlatform?
  /// Elsewhere to get it from: not followed, see `ImageManifest`.
  let hasForeignURLs: Bool

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    mediaType = try cursor.require("mediaType").string()
    let digestCursor = try cursor.require("digest")
    guard let digest = Digest(try digestCursor.string()) else {
      throw digestCursor.fail("expected sha256: and 64 lower-case hexadecimal digits")
    }
    self.digest = digest
    let sizeCursor = try cursor.require("size")
    size = try sizeCursor.integer()
    guard size >= 0 else { throw sizeCursor.fail("a size cannot be negative") }
    if let platform = try cursor.optional("platform") {
      self.platform = try ImagePlatform(platform)
    } else {
      platform = nil
    }
    hasForeignURLs = try !(cursor.optional("urls")?.array().isEmpty ?? true)
  }
}
