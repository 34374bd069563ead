import WherryJSON
import WherryModel
import WherryOCI

/// One archive and where it goes.
struct UnpackJob {
  enum Content {
    case layer(LayerCompression, diffID: Digest)
    case archive(LayerUnpacker.ArchiveFormat)
  }

  let blob: String
  let destination: String
  let label: String
  let content: Content
  let limits: LayerUnpacker.Limits
  /// As it came, to be handed on.
  let json: JSON

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    json = cursor.json
    blob = try cursor.require("blob").string()
    let destination = try cursor.require("destination")
    self.destination = try destination.string()
    guard self.destination.hasPrefix("/"), self.destination.utf8.last != 0x2f, !self.destination.contains("/../")
    else { throw destination.fail("expected an absolute path to a directory that is to be made") }
    label = try cursor.optional("label")?.string() ?? blob
    let kind = try cursor.require("kind")
    switch try kind.string() {
    case "layer":
      let compression = try cursor.require("compression")
      guard let known = LayerCompression(rawValue: try compression.string()) else {
        throw compression.fail("expected one of none, gzip, zstd")
      }
      content = .layer(known, diffID: try Job.digest(cursor.require("diffID")))
    case "zip": content = .archive(.zip)
    case "tar": content = .archive(.tar)
    default: throw kind.fail("expected one of layer, zip, tar")
    }
    var limits = LayerUnpacker.Limits()
    limits.bytesMaximum = try cursor.optional("bytesMaximum")?.integer() ?? limits.bytesMaximum
    self.limits = limits
  }
}
