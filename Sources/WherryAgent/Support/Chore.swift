import Glibc
import WherryCrypto
import WherryModel

/// Long file work, cut into pieces of a few milliseconds so that the one thread stays attentive.
protocol Chore: AnyObject {
  /// One piece; true = done.
  func step() throws(Failure) -> Bool
}

/// Removes a tree, some entries at a time. What is in it may belong to somebody who changes it meanwhile: everything
/// is reached from an open directory, and no link is ever followed. Directories within directories are moved up first,
/// so two descriptors are enough however deep it is.
final class TreeRemoval: Chore {
  private static let entriesPerStep = 256
  private let path: String
  private var top: Int32 = -1
  /// A directory in `top` that is being emptied.
  private var inside: (descriptor: Int32, name: [CChar])?
  private var counter = 0
  private var surprises = 0
  private static let surprisesMaximum = 100

  init(_ path: String) { self.path = path }

  deinit {
    if let inside { close(inside.descriptor) }
    if top >= 0 { close(top) }
  }

  func step() throws(Failure) -> Bool {
    if top < 0 {
      if unlink(path) == 0 || errno == ENOENT { return true }
      guard errno == EISDIR || errno == EPERM else { throw Files.failure("remove", path) }
      top = try openDirectory(Array(path.utf8CString), in: AT_FDCWD)
    }
    let names = try entries(of: inside?.descriptor ?? top)
    if names.isEmpty { return try leave() }
    for name in names {
      if let inside {
        if try !remove(name, in: inside.descriptor) { try moveUp(name, from: inside.descriptor) }
      } else if try !remove(name, in: top) {
        self.inside = (descriptor: try openDirectory(name, in: top), name: name)
        return false
      }
    }
    return false
  }

  /// What was being emptied is empty; true = that was all of it.
  private func leave() throws(Failure) -> Bool {
    if let inside {
      close(inside.descriptor)
      self.inside = nil
      if unlinkat(top, inside.name, AT_REMOVEDIR) == 0 { return false }
    } else if rmdir(path) == 0 || errno == ENOENT {
      return true
    }
    // Something else is in its place by now, or something more in it: the next look deals with that.
    surprises += 1
    guard surprises < Self.surprisesMaximum else { throw Files.failure("remove", path) }
    return false
  }

  /// False = it is a directory with something in it.
  private func remove(_ name: [CChar], in directory: Int32) throws(Failure) -> Bool {
    if unlinkat(directory, name, 0) == 0 || errno == ENOENT { return true }
    guard errno == EISDIR || errno == EPERM else { throw failure("remove", name) }
    if unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return true }
    guard errno == ENOTEMPTY || errno == EEXIST else { throw failure("remove", name) }
    return false
  }

  private func moveUp(_ name: [CChar], from directory: Int32) throws(Failure) {
    while true {
      counter += 1
      if renameat(directory, name, top, Array(".removed-\(counter)".utf8CString)) == 0 || errno == ENOENT { return }
      // Taken by something of that name; the next number.
      guard errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR else { throw failure("move", name) }
    }
  }

  private func openDirectory(_ name: [CChar], in parent: Int32) throws(Failure) -> Int32 {
    let descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", name) }
    return descriptor
  }

  /// Some of them; bytes, since names need not be UTF-8.
  private func entries(of directory: Int32) throws(Failure) -> [[CChar]] {
    let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0 else { throw Files.failure("read", path) }
    guard let stream = fdopendir(copy) else {
      let failure = Files.failure("read", path)
      close(copy)
      throw failure
    }
    defer { closedir(stream) }
    var names: [[CChar]] = []
    while names.count < Self.entriesPerStep, let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
      }
      if name != [0x2e, 0] && name != [0x2e, 0x2e, 0] { names.append(name) }
    }
    return names
  }

  private func failure(_ verb: String, _ name: [CChar]) -> Failure {
    let number = errno
    let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return Files.failure(verb, text == path ? path : "\(path)/…/\(text)", number: number)
  }
}

/// Copies a blob to an artifact's place and checks it again on the way: the blob store belongs to the download user.
final class ArtifactCopy: Chore {
  /// Copied and brought to the disk in one step: a tenth of a second on slow flash. Were the sync left to the end, that
  /// of a large file would hold up the poll loop for longer than the broker waits for a sign of life.
  static let bytesPerStep = 2 << 20
  private let source: String
  private let target: String
  private let artifact: PlannedArtifact
  private let owner: UserAccount
  private let sync: (Int32) -> Int32
  private var input: Int32 = -1
  private var output: Int32 = -1
  private var hash = SHA256()
  private var copied: Int64 = 0

  /// - Parameter sync: brings what was written to the disk, as `fdatasync` does.
  init(
    from source: String, to target: String, artifact: PlannedArtifact, owner: UserAccount,
    sync: @escaping (Int32) -> Int32 = { fdatasync($0) }
  ) {
    self.source = source
    self.target = target
    self.artifact = artifact
    self.owner = owner
    self.sync = sync
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
    guard sync(output) == 0 else { throw Files.failure("write to the disk", target) }
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
