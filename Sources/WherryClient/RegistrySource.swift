import Glibc
import WherryModel

/// Some bytes of a file: a blob of its own, or one that lies within an archive.
package struct RegistryFile: Hashable, Sendable {
  package var path: String
  package var offset: Int64
  package var size: Int64

  package init(path: String, offset: Int64 = 0, size: Int64) {
    self.path = path
    self.offset = offset
    self.size = size
  }

  /// The whole of a regular file; nil where there is none.
  init?(whole path: String) {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    self.init(path: path, size: Int64(status.st_size))
  }
}

/// Reads parts of a `RegistryFile`, in any order.
final class RegistryFileReader {
  private let file: RegistryFile
  private let descriptor: Int32

  init(_ file: RegistryFile) throws {
    self.file = file
    descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure(file.path) }
  }

  deinit { close(descriptor) }

  private static func failure(_ path: String) -> ClientError {
    .failed("\(path) cannot be read: \(String(cString: strerror(errno)))")
  }

  /// Exactly so many bytes from there.
  func read(at offset: Int64, count: Int) throws -> [UInt8] {
    precondition(offset >= 0 && count >= 0 && offset + Int64(count) <= file.size, "\(file) read beyond its end")
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress?.advanced(by: done), count - done, off_t(file.offset + offset) + off_t(done))
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw Self.failure(file.path) }
      guard got > 0 else { throw ClientError.failed("\(file.path) became shorter while it was read; try again") }
      done += got
    }
    return bytes
  }

  func all() throws -> [UInt8] { try read(at: 0, count: Int(file.size)) }
}

/// Where images are read from.
package protocol RegistrySource: AnyObject {
  /// Blobs are on this machine already.
  var isLocal: Bool { get }
  func manifest(_ content: RegistryContent) throws -> RegistryManifest
  /// The blob's bytes, brought here if need be; `onProgress` is told how many have come.
  func file(of blob: RegistryContent, onProgress: (Int64) -> Void) throws -> RegistryFile
  /// The file is not needed any more.
  func release(_ file: RegistryFile)
}

/// A repository of a registry.
package final class RegistryRepository: RegistrySource {
  private let client: RegistryClient
  private let name: String
  private let directory: String

  /// - Parameter directory: takes one blob at a time.
  package init(_ name: String, at client: RegistryClient, directory: String) {
    self.name = name
    self.client = client
    self.directory = directory
  }

  package var isLocal: Bool { false }

  package func manifest(_ content: RegistryContent) throws -> RegistryManifest {
    guard let manifest = try client.manifest("\(content.digest)", in: name) else {
      throw ClientError.registry(
        "\(client.base) has no manifest \(content.digest) in \(name), to which an index of it refers; push "
          + "the image anew",
        mayHeal: false)
    }
    return manifest
  }

  package func file(of blob: RegistryContent, onProgress: (Int64) -> Void) throws -> RegistryFile {
    let path = "\(directory)/\(blob.digest.hex)"
    try client.fetch(blob, from: name, to: path, onProgress: onProgress)
    return RegistryFile(path: path, size: blob.size)
  }

  package func release(_ file: RegistryFile) { unlink(file.path) }
}
