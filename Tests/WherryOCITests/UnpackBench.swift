import Glibc
import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// A directory to unpack into, inside another one whose content must stay as it is.
final class UnpackBench {
  let directory = TemporaryDirectory()
  var root: String { directory.file("outside/root") }

  init() {
    mkdir(directory.file("outside"), 0o755)
    mkdir(root, 0o755)
    TestFile.write(Array("precious".utf8), to: directory.file("outside/secret"))
  }

  private func open(_ bytes: [UInt8]) -> Int32 {
    TestFile.write(bytes, to: directory.file("blob"))
    return Glibc.open(directory.file("blob"), O_RDONLY | O_CLOEXEC)
  }

  @discardableResult
  func unpack(
    _ layer: TestLayer, diffID: Digest? = nil, limits: LayerUnpacker.Limits = LayerUnpacker.Limits()
  ) throws(Failure) -> LayerUnpacker.Summary {
    let blob = open(layer.blob)
    let target = Glibc.open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer {
      close(blob)
      close(target)
    }
    return try LayerUnpacker(label: "com.example.web layer 1/1", limits: limits).unpack(
      layer: blob, compression: layer.compression, diffID: diffID ?? layer.diffID, into: target)
  }

  @discardableResult
  func unarchive(
    _ bytes: [UInt8], _ format: LayerUnpacker.ArchiveFormat, digest: Digest? = nil, size: Int64? = nil,
    limits: LayerUnpacker.Limits = LayerUnpacker.Limits()
  ) throws(Failure) -> LayerUnpacker.Summary {
    let blob = open(bytes)
    let target = Glibc.open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer {
      close(blob)
      close(target)
    }
    return try LayerUnpacker(label: "artifact hello.\(format)", limits: limits).unarchive(
      blob, format: format, digest: digest ?? SHA256.digest(of: bytes), size: size ?? Int64(bytes.count), into: target)
  }

  func failure(_ tar: TarBuilder, limits: LayerUnpacker.Limits = LayerUnpacker.Limits()) throws -> Failure? {
    let layer = try TestLayer(tar.archive)
    do throws(Failure) {
      try unpack(layer, limits: limits)
      return nil
    } catch { return error }
  }

  func archiveFailure(_ bytes: [UInt8], _ format: LayerUnpacker.ArchiveFormat) -> Failure? {
    do throws(Failure) {
      try unarchive(bytes, format)
      return nil
    } catch { return error }
  }

  func text(_ path: String) -> String? {
    TestFile.read(root + "/" + path).map { String(decoding: $0, as: UTF8.self) }
  }

  func status(_ path: String) -> stat? {
    var status = stat()
    return lstat(root + "/" + path, &status) == 0 ? status : nil
  }

  func link(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 4_096)
    let count = readlink(root + "/" + path, &buffer, 4_095)
    return count < 0 ? nil : String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Nothing beside the root has appeared, gone or changed.
  func expectOutsideUntouched(_ location: SourceLocation = #_sourceLocation) {
    #expect(
      TestFile.read(directory.file("outside/secret")) == Array("precious".utf8), sourceLocation: location)
    var status = stat()
    #expect(lstat(directory.file("outside/secret"), &status) == 0 && status.st_nlink == 1, sourceLocation: location)
    var names: Set<String> = []
    if let stream = opendir(directory.file("outside")) {
      while let entry = readdir(stream) { names.insert(entryName(entry)) }
      closedir(stream)
    }
    #expect(names == [".", "..", "root", "secret"], sourceLocation: location)
  }
}
