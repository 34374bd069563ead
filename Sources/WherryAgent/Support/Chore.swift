import Glibc
import WherryCrypto
import WherryModel

/// Long file work, cut into pieces of a few milliseconds so that the one thread stays attentive.
protocol Chore: AnyObject {
  /// One piece; true = done.
  func step() throws(Failure) -> Bool
}

/// Removes a tree, some entries at a time.
final class TreeRemoval: Chore {
  private static let entriesPerStep = 256
  private var pending: [String]

  init(_ path: String) { pending = [path] }

  func step() throws(Failure) -> Bool {
    var budget = Self.entriesPerStep
    while let path = pending.last, budget > 0 {
      budget -= 1
      if unlink(path) == 0 || errno == ENOENT {
        pending.removeLast()
        continue
      }
      guard errno == EISDIR || errno == EPERM else { throw Files.failure("remove", path) }
      if rmdir(path) == 0 || errno == ENOENT {
        pending.removeLast()
        continue
      }
      guard errno == ENOTEMPTY || errno == EEXIST else { throw Files.failure("remove", path) }
      let inside = Files.names(in: path)
      budget -= inside.count / 8
      pending += inside.map { path + "/" + $0 }
    }
    return pending.isEmpty
  }
}

/// Copies a blob to an artifact's place and checks it again on the way: the blob store belongs to the download user.
final class ArtifactCopy: Chore {
  private static let bytesPerStep = 4 << 20
  private let source: String
  private let target: String
  private let artifact: PlannedArtifact
  private let owner: UserAccount
  private var input: Int32 = -1
  private var output: Int32 = -1
  private var hash = SHA256()
  private var copied: Int64 = 0

  init(from source: String, to target: String, artifact: PlannedArtifact, owner: UserAccount) {
    self.source = source
    self.target = target
    self.artifact = artifact
    self.owner = owner
  }

  deinit { closeFiles() }

  private func closeFiles() {
    for descriptor in [input, output] where descriptor >= 0 { close(descriptor) }
    input = -1
    output = -1
  }

  /// Greengrass's permissions: OWNER is the user that runs components.
  static func mode(of artifact: PlannedArtifact) -> mode_t {
    func bits(_ access: ArtifactAccess, _ bit: mode_t) -> mode_t {
      switch access {
      case .none: 0
      case .owner: bit << 6
      case .all: bit << 6 | bit << 3 | bit
      }
    }
    // A program that may be executed must be readable to its interpreter.
    let read: ArtifactAccess =
      switch (artifact.read, artifact.execute) {
      case (.all, _), (_, .all): .all
      case (.owner, _), (_, .owner): .owner
      case (.none, .none): .none
      }
    return bits(read, 4) | bits(artifact.execute, 1)
  }

  func step() throws(Failure) -> Bool {
    if input < 0 { try openFiles() }
    var budget = Self.bytesPerStep
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 16)
    defer { buffer.deallocate() }
    while budget > 0 {
      let count = read(input, buffer.baseAddress, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw Files.failure("read", source) }
      if count == 0 {
        try finish()
        return true
      }
      let piece = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      hash.update(piece)
      guard Files.writeAll(Array(piece), to: output) else { throw Files.failure("write", target) }
      copied += Int64(count)
      budget -= count
    }
    return false
  }

  private func openFiles() throws(Failure) {
    input = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard input >= 0 else { throw Files.failure("open", source) }
    output = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard output >= 0 else { throw Files.failure("make", target) }
  }

  private func finish() throws(Failure) {
    let actual = hash.finish()
    guard actual == artifact.digest, copied == artifact.size else {
      unlink(target)
      unlink(source)  // so that the next try downloads it again
      throw Failure(
        .verify, code: "blob.digestMismatch",
        message: "artifact \(artifact.fileName) in the blob store has digest \(actual.short)… and \(copied) bytes, not "
          + "\(artifact.digest.short)… and \(artifact.size)",
        remedy: "nothing to do: it is downloaded again")
    }
    let isReady =
      fchown(output, owner.user, owner.group) == 0 && fchmod(output, Self.mode(of: artifact)) == 0 && fsync(output) == 0
    guard isReady else { throw Files.failure("finish", target) }
    closeFiles()
  }
}
