import WherryJSON
import WherryModel
import WherryOCI

/// One archive and where it goes.
struct UnpackJob {
  enum Content: Equatable {
    case layer(LayerCompression, diffID: Digest)
    case archive(LayerUnpacker.ArchiveFormat, digest: Digest, size: Int64)
  }

  let blob: String
  let destination: String
  let label: String
  let content: Content
  let limits: LayerUnpacker.Limits
  /// As it came, to be handed on.
  let json: JSON

  private static let sizeMaximum: Int64 = 1 << 40

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    json = cursor.json
    blob = try cursor.require("blob").string()
    let destination = try cursor.require("destination")
    self.destination = try destination.string()
    guard Self.isPlace(self.destination) else {
      throw destination.fail("expected an absolute path, without . and .., to a directory that is to be made")
    }
    label = try cursor.optional("label")?.string() ?? blob
    let kind = try cursor.require("kind")
    switch try kind.string() {
    case "layer":
      let compression = try cursor.require("compression")
      guard let known = LayerCompression(rawValue: try compression.string()) else {
        throw compression.fail("expected one of none, gzip, zstd")
      }
      content = .layer(known, diffID: try Job.digest(cursor.require("diffID")))
    case "zip": content = try Self.archive(.zip, cursor)
    case "tar": content = try Self.archive(.tar, cursor)
    default: throw kind.fail("expected one of layer, zip, tar")
    }
    var limits = LayerUnpacker.Limits()
    limits.bytesMaximum = try Job.bytes(cursor, "bytesMaximum") ?? limits.bytesMaximum
    limits.headroom = try Job.bytes(cursor, "headroom")
    self.limits = limits
  }

  private static func archive(
    _ format: LayerUnpacker.ArchiveFormat, _ cursor: JSONCursor
  ) throws(JSONShapeError) -> Content {
    let size = try cursor.require("size")
    let bytes = try size.integer()
    guard (0...sizeMaximum).contains(bytes) else { throw size.fail("must be from 0 to \(sizeMaximum)") }
    return .archive(format, digest: try Job.digest(cursor.require("digest")), size: bytes)
  }

  private static func isPlace(_ path: String) -> Bool {
    path.hasPrefix("/") && path.utf8.last != 0x2f
      && !path.utf8.split(separator: 0x2f).contains {
        $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8)
      }
  }
}
