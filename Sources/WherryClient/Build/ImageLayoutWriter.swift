import Glibc
import WherryJSON
import WherryModel
import WherryOCI

/// A file that is made anew.
final class NewFile {
  private let path: String
  private let descriptor: Int32

  init(_ path: String) throws {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure(path) }
  }

  deinit { close(descriptor) }

  static func failure(_ path: String) -> ClientError {
    .failed("\(path) cannot be written: \(String(cString: strerror(errno)))")
  }

  func write(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Self.failure(path) }
      rest = rest.dropFirst(count)
    }
  }
}

/// Writes an image as an OCI image layout (OCI image-spec, image-layout.md), for `wherry image push` or other tools.
package enum ImageLayoutWriter {
  private static let chunkBytes: Int64 = 1 << 20

  /// - Parameter directory: made if it is not there; must be empty.
  package static func write(
    _ image: RegistryContent, of source: any RegistrySource, named name: String, to directory: String
  ) throws {
    for path in ["", "/blobs", "/blobs/sha256"] {
      guard mkdir(directory + path, 0o755) == 0 || (errno == EEXIST && path.isEmpty) else {
        throw errno == EEXIST
          ? ClientError.failed("\(directory) holds something already; name a new directory")
          : NewFile.failure(directory + path)
      }
    }
    try copy(image, of: source, to: directory, depth: 0)
    var entry = image.descriptor
    entry["annotations"] = ["org.opencontainers.image.ref.name": .string(name)]
    let index: JSON = [
      "schemaVersion": 2, "mediaType": .string(MediaType.ociIndex), "manifests": .array([entry]),
    ]
    try NewFile("\(directory)/index.json").write(index.canonicalBytes)
    // Its presence says that the rest is whole.
    try NewFile("\(directory)/oci-layout").write(Array("{\"imageLayoutVersion\":\"1.0.0\"}".utf8))
  }

  private static func copy(
    _ image: RegistryContent, of source: any RegistrySource, to directory: String, depth: Int
  ) throws {
    let manifest = try source.manifest(image)
    guard depth < 4 else { throw ClientError.failed("the image's indexes lie too deep within each other") }
    for child in manifest.manifests { try copy(child, of: source, to: directory, depth: depth + 1) }
    for blob in manifest.blobs {
      let path = "\(directory)/blobs/sha256/\(blob.digest.hex)"
      if access(path, F_OK) == 0 { continue }
      let file = try source.file(of: blob) { _ in }
      defer { source.release(file) }
      let (reader, target) = (try RegistryFileReader(file), try NewFile(path))
      var offset: Int64 = 0
      while offset < file.size {
        let count = min(chunkBytes, file.size - offset)
        try target.write(try reader.read(at: offset, count: Int(count)))
        offset += count
      }
    }
    try NewFile("\(directory)/blobs/sha256/\(manifest.digest.hex)").write(manifest.bytes)
  }
}
