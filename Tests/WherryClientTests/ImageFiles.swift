import Glibc
import WherryClient
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport

/// An image of some layers, and the files that it can be read from.
struct TestImage {
  let layers: [[UInt8]]
  let config: [UInt8]
  let manifest: [UInt8]

  var digest: Digest { SHA256.digest(of: manifest) }
  var blobs: [[UInt8]] { [config] + layers }

  init(_ layers: [[UInt8]], architecture: String = "amd64") {
    self.init(
      layers: layers,
      config: [
        "os": "linux", "architecture": .string(architecture),
        "rootfs": ["type": "layers", "diff_ids": .array(layers.map { .string("\(SHA256.digest(of: $0))") })],
      ])
  }

  init(layers: [[UInt8]], config: JSON) {
    self.layers = layers
    self.config = config.canonicalBytes
    let manifest: JSON = [
      "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
      "config": Self.descriptor(config.canonicalBytes, "application/vnd.oci.image.config.v1+json"),
      "layers": .array(layers.map { Self.descriptor($0, "application/vnd.oci.image.layer.v1.tar") }),
    ]
    self.manifest = manifest.canonicalBytes
  }

  static func descriptor(_ bytes: [UInt8], _ type: String) -> JSON {
    [
      "mediaType": .string(type), "digest": .string("\(SHA256.digest(of: bytes))"),
      "size": .integer(Int64(bytes.count)),
    ]
  }

  static func index(_ manifests: [JSON]) -> [UInt8] {
    let index: JSON = [
      "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": .array(manifests),
    ]
    return index.canonicalBytes
  }

  /// As an entry of an index, under a name or for a platform.
  func entry(named name: String? = nil, architecture: String? = nil) -> JSON {
    var entry = Self.descriptor(manifest, "application/vnd.oci.image.manifest.v1+json")
    if let name { entry["annotations"] = ["org.opencontainers.image.ref.name": .string(name)] }
    if let architecture { entry["platform"] = ["os": "linux", "architecture": .string(architecture)] }
    return entry
  }

  // MARK: - Files by name

  /// Of an OCI image layout.
  static func layout(_ images: [TestImage], index: [UInt8], others: [[UInt8]] = []) -> [(String, [UInt8])] {
    let blobs = images.flatMap { $0.blobs + [$0.manifest] } + others
    return [("oci-layout", Array("{\"imageLayoutVersion\":\"1.0.0\"}".utf8)), ("index.json", index)]
      + blobs.map { ("blobs/sha256/\(SHA256.digest(of: $0).hex)", $0) }
  }

  static func write(_ files: [(String, [UInt8])], to folder: String) {
    for path in ["", "/blobs", "/blobs/sha256"] { mkdir(folder + path, 0o755) }
    for (name, bytes) in files { TestFile.write(bytes, to: "\(folder)/\(name)") }
  }
}

/// Tar archives by hand, so that each field can be what it should not be.
enum TestTar {
  static func archive(_ files: [(String, [UInt8])]) -> [UInt8] {
    files.flatMap { entry($0, $1) } + [UInt8](repeating: 0, count: 1_024)
  }

  static func entry(_ name: String, _ bytes: [UInt8], kind: Character = "0", link: String = "") -> [UInt8] {
    let padding = (512 - bytes.count % 512) % 512
    return header(name, size: bytes.count, kind: kind, link: link) + bytes + [UInt8](repeating: 0, count: padding)
  }

  /// A name of any length, as pax writes it.
  static func paxEntry(_ name: String, _ bytes: [UInt8]) -> [UInt8] {
    var record = ""
    var length = 0
    while record.utf8.count != length || length == 0 {
      length = max(length + 1, record.utf8.count)
      record = "\(length) path=\(name)\n"
    }
    return entry("pax", Array(record.utf8), kind: "x") + entry("cut", bytes)
  }

  static func header(_ name: String, size: Int, kind: Character, link: String) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at place: Int) {
      for (index, byte) in text.utf8.enumerated() { bytes[place + index] = byte }
    }
    func octal(_ number: Int, _ digits: Int) -> String {
      let text = String(number, radix: 8)
      return String(repeating: "0", count: digits - text.utf8.count) + text
    }
    put(String(name.prefix(100)), at: 0)
    put("0000644", at: 100)
    put(octal(size, 11), at: 124)
    put("        ", at: 148)
    put(String(kind), at: 156)
    put(link, at: 157)
    put("ustar\0", at: 257)
    put("00", at: 263)
    put(octal(bytes.reduce(0) { $0 + Int($1) }, 6) + "\0 ", at: 148)
    return bytes
  }
}
