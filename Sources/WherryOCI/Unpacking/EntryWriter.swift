import CArchive
import Glibc
import WherryModel

/// Applies an archive's entries to a directory tree, each checked before anything of it is made.
final class EntryWriter {
  private let tree: RootedTree
  private let rules: UnpackRules
  private let problem: UnpackProblem
  private let bytesMaximum: Int64
  private let headroom: Int64?
  private(set) var bytesWritten: Int64 = 0
  /// Modes and times of directories are set last: making entries in them changes the times, and a directory without
  /// the write bit would refuse its own content.
  private var directories: [(path: EntryPath, metadata: EntryMetadata)] = []
  /// When so many bytes are written, the disk is looked at again.
  private var lookAt = EntryWriter.lookInterval

  private static let whiteout: [CChar] = Array(".wh.".utf8CString.dropLast())
  private static let opaque: [CChar] = Array(".wh..wh..opq".utf8CString)
  private static let lookInterval: Int64 = 16 << 20
  private static let opaqueAttribute = "trusted.overlay.opaque"

  init(tree: RootedTree, rules: UnpackRules, bytesMaximum: Int64, headroom: Int64?, problem: UnpackProblem) {
    self.headroom = headroom
    self.tree = tree
    self.rules = rules
    self.bytesMaximum = bytesMaximum
    self.problem = problem
  }

  func apply(_ entry: OpaquePointer, from reader: ArchiveReader) throws(Failure) {
    let name = archive_entry_pathname(entry) ?? archive_entry_pathname_utf8(entry)
    let path = try path(name, "an empty name")
    var metadata = EntryMetadata(entry, rules: rules)
    metadata.attributes = try attributes(of: entry, path)
    if rules.isLayer, path.name.starts(with: Self.whiteout) { return try applyWhiteout(path) }
    if let target = archive_entry_hardlink(entry) { return try makeHardLink(path, to: target) }
    let type = archive_entry_filetype(entry)
    if path.isRoot {
      guard type == S_IFDIR else { throw problem.corrupt("its root is not a directory") }
      directories.append((path, metadata))
      return
    }
    switch type {
    case S_IFREG: try makeFile(path, entry, metadata, reader)
    case S_IFDIR: try makeDirectory(path, metadata)
    case S_IFLNK: try makeSymbolicLink(path, entry, metadata)
    case S_IFIFO where rules.isLayer: try makeNode(path, S_IFIFO, 0, metadata)
    case S_IFCHR where rules.isLayer, S_IFBLK where rules.isLayer: try makeDevice(path, entry, metadata)
    default: throw problem.corrupt("its entry \"\(path.text)\" is of a kind that is not supported")
    }
  }

  private func path(_ text: UnsafePointer<CChar>?, _ missing: String) throws(Failure) -> EntryPath {
    guard let text, text.pointee != 0 else { throw problem.corrupt("an entry has \(missing)") }
    do throws(EntryPath.Refusal) { return try EntryPath(text) } catch {
      let shown = String(String(cString: text).prefix(200))
      switch error {
      case .absolute, .climbs: throw problem.escapes(shown, error.reason)
      case .tooLong, .tooDeep: throw problem.corrupt("its entry \"\(shown)\" has \(error.reason)")
      }
    }
  }

  // MARK: Kinds of entries

  private func makeFile(
    _ path: EntryPath, _ entry: OpaquePointer, _ metadata: EntryMetadata, _ reader: ArchiveReader
  ) throws(Failure) {
    let declared: Int64? = archive_entry_size_is_set(entry) != 0 ? Int64(archive_entry_size(entry)) : nil
    // Before a byte of it is written.
    guard (declared ?? 0) >= 0, (declared ?? 0) <= bytesMaximum - bytesWritten else {
      throw problem.tooLarge("its entry \"\(path.text)\" declares \(declared ?? 0) bytes", bytes: declared)
    }
    let parent = try tree.parent(of: path)
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    // Set-id bits come with the owner.
    let descriptor = try make(path, in: parent) { openat(parent, path.name, flags, metadata.mode & 0o777) }
    defer { close(descriptor) }
    try writeContent(of: path, declared: declared, to: descriptor, reader)
    guard metadata.apply(to: descriptor, rules: rules) else {
      throw problem.system("given its owner and mode", path.text)
    }
    try setAttributes(metadata, of: path, on: descriptor)
    metadata.setTimes(of: descriptor)
  }

  private func writeContent(
    of path: EntryPath, declared: Int64?, to descriptor: Int32, _ reader: ArchiveReader
  ) throws(Failure) {
    var end: Int64 = 0
    while let (block, offset) = try reader.nextBlock() {
      let blockEnd = offset + Int64(block.count)
      guard offset >= end, blockEnd <= declared ?? (bytesMaximum - bytesWritten) else {
        if declared == nil {
          throw problem.tooLarge("it unpacks to more than \(bytesMaximum) bytes", bytes: bytesMaximum + 1)
        }
        throw problem.corrupt("its entry \"\(path.text)\" has more content than it declares")
      }
      var rest = block
      var position = offset
      while !rest.isEmpty {
        let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(position))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw problem.system("written", path.text) }
        position += Int64(count)
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      }
      end = blockEnd
      if bytesWritten + end >= lookAt { try lookAtDisk(at: bytesWritten + end) }
    }
    bytesWritten += max(end, declared ?? 0)
    // A sparse file's hole at the end.
    if let declared, end < declared, ftruncate(descriptor, off_t(declared)) != 0 {
      throw problem.system("written", path.text)
    }
  }

  /// What is left for what runs is looked after while this writes: another layer may be unpacked at the same time, and
  /// neither knows of the other.
  private func lookAtDisk(at bytes: Int64) throws(Failure) {
    guard let space = DiskSpace(descriptor: tree.root), space.usable(leaving: headroom) > 0 else {
      throw problem.spaceFull()
    }
    lookAt = bytes + Self.lookInterval
  }

  private func makeDirectory(_ path: EntryPath, _ metadata: EntryMetadata) throws(Failure) {
    let parent = try tree.parent(of: path)
    if mkdirat(parent, path.name, 0o700) != 0 {
      guard errno == EEXIST else { throw problem.system("made", path.text) }
      try replaceByDirectory(path, in: parent)
    }
    directories.append((path, metadata))
  }

  private func replaceByDirectory(_ path: EntryPath, in parent: Int32) throws(Failure) {
    switch try tree.existing(path, in: parent) {
    case .directory: break
    case .nothing, .whiteout, .other:
      let hidesLower = try clear(path, in: parent) == .whiteout
      guard mkdirat(parent, path.name, 0o700) == 0 else { throw problem.system("made", path.text) }
      if hidesLower { try makeOpaque(path, in: parent) }
    }
  }

  private func makeSymbolicLink(_ path: EntryPath, _ entry: OpaquePointer, _ metadata: EntryMetadata) throws(Failure) {
    guard let target = archive_entry_symlink(entry), target.pointee != 0 else {
      throw problem.corrupt("its symbolic link \"\(path.text)\" leads nowhere")
    }
    if !rules.isLayer {
      let bytes = Array(UnsafeBufferPointer(start: target, count: strlen(target)))
      let shown = String(cString: target).prefix(200)
      guard UnpackRules.staysInside(bytes, depth: path.depth - 1) else {
        throw problem.escapes(path.text, "a symbolic link that leads out, to \"\(shown)\"")
      }
    }
    let parent = try tree.parent(of: path)
    _ = try make(path, in: parent) { symlinkat(target, parent, path.name) }
    try setOwner(path, in: parent, metadata)
    metadata.setTimes(of: path.name, in: parent)
  }

  private func makeHardLink(_ path: EntryPath, to text: UnsafePointer<CChar>) throws(Failure) {
    let target = try self.path(text, "a hard link to nothing")
    guard !path.isRoot, !target.isRoot else { throw problem.corrupt("a hard link cannot be its root") }
    guard path != target else { return }
    let targetParent = dup(try tree.parent(of: target, creating: false))
    defer { close(targetParent) }
    guard try tree.existing(target, in: targetParent) == .other else {
      throw problem.corrupt("its hard link \"\(path.text)\" leads to \"\(target.text)\", which is no file in it")
    }
    let parent = try tree.parent(of: path)
    _ = try clear(path, in: parent)
    // Without AT_SYMLINK_FOLLOW a link to a symbolic link is one to the link itself.
    guard linkat(targetParent, target.name, parent, path.name, 0) == 0 else {
      throw problem.system("linked", path.text)
    }
  }

  private func makeDevice(_ path: EntryPath, _ entry: OpaquePointer, _ metadata: EntryMetadata) throws(Failure) {
    let (major, minor) = (UInt32(archive_entry_rdevmajor(entry)), UInt32(archive_entry_rdevminor(entry)))
    let type = archive_entry_filetype(entry)
    guard UnpackRules.isHarmlessDevice(type, major: major, minor: minor) else {
      throw problem.escapes(
        path.text, "a device node (\(type == S_IFCHR ? "character" : "block") \(major):\(minor)) in place of a file")
    }
    try makeNode(path, S_IFCHR, dev_t(carchive_device(major, minor)), metadata)
  }

  private func makeNode(_ path: EntryPath, _ type: mode_t, _ device: dev_t, _ metadata: EntryMetadata) throws(Failure) {
    let parent = try tree.parent(of: path)
    _ = try clear(path, in: parent)
    guard mknodat(parent, path.name, type | 0o600, device) == 0 else { throw problem.system("made", path.text) }
    try setOwner(path, in: parent, metadata)
    guard fchmodat(parent, path.name, metadata.mode, 0) == 0 else { throw problem.system("given its mode", path.text) }
    metadata.setTimes(of: path.name, in: parent)
  }

  // MARK: Whiteouts

  /// OCI's marker files become overlayfs's: a device 0:0 hides one name, an attribute hides all of a directory below.
  private func applyWhiteout(_ path: EntryPath) throws(Failure) {
    let parent = try tree.parent(of: path)
    if path.name == Self.opaque { return try setOpaque(parent, path) }
    // Other doubly marked names are the bookkeeping of aufs and mean nothing here.
    let name = Array(path.name.dropFirst(Self.whiteout.count))
    if name.starts(with: Self.whiteout) { return }
    guard name != [0], name != [0x2e, 0], name != [0x2e, 0x2e, 0] else {
      throw problem.escapes(path.text, "a whiteout of a directory itself")
    }
    let hidden = path.renamed(name)
    switch try tree.existing(hidden, in: parent) {
    case .nothing:
      guard mknodat(parent, name, S_IFCHR, 0) == 0 else { throw problem.system("hidden", hidden.text) }
    // The layer has the name itself too: only what lies below it is hidden.
    case .directory: try makeOpaque(hidden, in: parent)
    case .whiteout, .other: break
    }
  }

  private func makeOpaque(_ path: EntryPath, in parent: Int32) throws(Failure) {
    let descriptor = openat(parent, path.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { throw problem.system("opened", path.text) }
    defer { close(descriptor) }
    try setOpaque(descriptor, path)
  }

  private func setOpaque(_ directory: Int32, _ path: EntryPath) throws(Failure) {
    guard fsetxattr(directory, Self.opaqueAttribute, "y", 1, 0) == 0 else {
      throw problem.system("made opaque", path.text)
    }
  }

  // MARK: What all kinds have

  /// Mostly there is nothing to make way for, so that is looked at only when the making says so.
  /// - Parameter body: makes it, refusing what is there already; negative with `errno` set on failure.
  private func make(_ path: EntryPath, in parent: Int32, _ body: () -> Int32) throws(Failure) -> Int32 {
    var result = body()
    if result < 0, errno == EEXIST {
      _ = try clear(path, in: parent)
      result = body()
    }
    guard result >= 0 else { throw problem.system("made", path.text) }
    return result
  }

  private func clear(_ path: EntryPath, in parent: Int32) throws(Failure) -> RootedTree.Existing {
    let was = try tree.clear(path, in: parent)
    // A parent that is remembered may be what has just gone; this entry's own is still open.
    if was == .directory || was == .other { tree.forgetOthers(than: parent) }
    return was
  }

  private func setOwner(_ path: EntryPath, in parent: Int32, _ metadata: EntryMetadata) throws(Failure) {
    guard rules.keepsOwners else { return }
    guard fchownat(parent, path.name, metadata.user, metadata.group, AT_SYMLINK_NOFOLLOW) == 0 else {
      throw problem.system("given its owner", path.text)
    }
  }

  private func attributes(of entry: OpaquePointer, _ path: EntryPath) throws(Failure) -> [EntryMetadata.Attribute] {
    archive_entry_xattr_reset(entry)
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var size = 0
    var attributes: [EntryMetadata.Attribute] = []
    while archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK {
      guard let text = name.map({ String(cString: $0) }) else { continue }
      guard !UnpackRules.isOverlayAttribute(text) else {
        throw problem.escapes(path.text, "the attribute \(text), which would redirect overlayfs")
      }
      guard rules.keepsOwners, UnpackRules.keepsAttribute(text) else { continue }
      attributes.append((text, Array(UnsafeRawBufferPointer(start: value, count: size))))
    }
    return attributes
  }

  private func setAttributes(_ metadata: EntryMetadata, of path: EntryPath, on descriptor: Int32) throws(Failure) {
    for (name, value) in metadata.attributes {
      guard fsetxattr(descriptor, name, value, value.count, 0) == 0 || errno == EOPNOTSUPP else {
        throw problem.system("given the attribute \(name)", path.text)
      }
    }
  }

  /// After the last entry.
  func finish() throws(Failure) {
    var done: Set<EntryPath> = []
    // The last entry of a name counts; and a directory is closed after those in it.
    for (path, metadata) in directories.reversed() where done.insert(path).inserted {
      let descriptor = path.isRoot ? dup(tree.root) : tree.openDirectory(path)
      // Replaced by a file or a link later in the archive.
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      guard metadata.apply(to: descriptor, rules: rules) else {
        throw problem.system("given its owner and mode", path.text)
      }
      try setAttributes(metadata, of: path, on: descriptor)
      metadata.setTimes(of: descriptor)
    }
  }
}
