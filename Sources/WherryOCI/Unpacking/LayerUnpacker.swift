import CArchive
import Glibc
import WherryModel

/// Unpacks image layers and artifact archives into an empty directory. The archive is taken for hostile: whatever it
/// holds, nothing outside the directory is touched, the bounds hold, and a refusal is one clear `Failure`.
package struct LayerUnpacker {
  package struct Limits: Sendable {
    package var entriesMaximum = 1_000_000
    /// Of the uncompressed archive.
    package var bytesMaximum: Int64 = 16 << 30
    /// Bytes that stay free on the disk; nil = as `DiskSpace` has it.
    package var headroom: Int64?
    package init() {}
  }

  package enum ArchiveFormat: String, Sendable { case tar, zip }

  package struct Summary: Hashable, Sendable {
    package let entries: Int
    package let bytes: Int64
  }

  private let problem: UnpackProblem
  private let limits: Limits

  /// - Parameter label: what is unpacked, for people.
  package init(label: String, limits: Limits = Limits()) {
    self.limits = limits
    problem = UnpackProblem(label: label, bytesAllowed: limits.bytesMaximum)
  }

  /// - Parameters:
  ///   - descriptor: the layer as transferred, open for reading.
  ///   - root: the directory to unpack into, open.
  package func unpack(
    layer descriptor: Int32, compression: LayerCompression, diffID: Digest, into root: Int32
  ) throws(Failure) -> Summary {
    let bytesMaximum = try bytesMaximum(in: root)
    let stream = try LayerStream(
      descriptor: descriptor, compression: compression, bytesMaximum: bytesMaximum, problem: problem)
    let reader = try ArchiveReader(stream, problem: problem)
    let summary = try write(reader, into: root, rules: .layer(isPrivileged: geteuid() == 0), bytesMaximum: bytesMaximum)
    let actual = try stream.finish()
    guard actual == diffID else {
      throw Failure(
        .verify, code: "layer.diffIDMismatch",
        message: "\(problem.label) unpacks to content with digest \(actual) in place of \(diffID)",
        remedy: "build and push the image again")
    }
    return summary
  }

  /// Not a byte of the archive is looked at before all of it was found to be what the digest names.
  /// - Parameters:
  ///   - descriptor: the archive as transferred, a regular file, open for reading. Others may write to it.
  ///   - root: the directory to unpack into, open.
  package func unarchive(
    _ descriptor: Int32, format: ArchiveFormat, digest: Digest, size: Int64, into root: Int32
  ) throws(Failure) -> Summary {
    let bytesMaximum = try bytesMaximum(in: root)
    let file = try VerifiedFile(descriptor: descriptor, size: size, digest: digest, problem: problem)
    let reader = try ArchiveReader(file, format: format == .zip ? .zip : .tar, problem: problem)
    return try write(reader, into: root, rules: .artifact, bytesMaximum: bytesMaximum)
  }

  private func write(
    _ reader: ArchiveReader, into root: Int32, rules: UnpackRules, bytesMaximum: Int64
  ) throws(Failure) -> Summary {
    let tree = RootedTree(root: root, followsLinks: rules.isLayer, problem: problem)
    let writer = EntryWriter(
      tree: tree, rules: rules, bytesMaximum: bytesMaximum, headroom: limits.headroom, problem: problem)
    var entries = 0
    while let entry = try reader.next() {
      entries += 1
      guard entries <= limits.entriesMaximum else {
        throw problem.tooLarge("it has more than \(limits.entriesMaximum) entries")
      }
      try writer.apply(entry, from: reader)
    }
    try writer.finish()
    return Summary(entries: entries, bytes: writer.bytesWritten)
  }

  /// Never more than the disk has, less a rest for what runs.
  private func bytesMaximum(in root: Int32) throws(Failure) -> Int64 {
    guard let space = DiskSpace(descriptor: root) else { throw problem.system("examined", ".") }
    return min(limits.bytesMaximum, space.usable(leaving: limits.headroom))
  }
}
