import Glibc
import WherryJSON
import WherryModel

/// What is remembered of one container, from `create` to `delete`.
package struct BundleRecord: Hashable, Sendable {
  package var id: String
  /// Absolute.
  package var bundle: String
  package var version: String
  /// 0 = not cloned yet.
  package var pid: Int32
  /// Of the process, in ticks since boot: numbers are used again.
  package var startTime: UInt64
  package var cgroupPath: String
  /// Seconds since 1970.
  package var created: Int64
  package var annotations: [String: String]
}

/// A directory for each container, under the runtime's root.
///
///     <root>/<id>/config.json   as the bundle had it when the container was created
///     <root>/<id>/state.json    the record
///     <root>/<id>/creating      a socket, while the container is being created
///     <root>/<id>/start         the same, while it waits to be started
struct BundleStore {
  let root: String

  private static let idBytesMaximum = 255
  static let socketName = "start"
  static let earlySocketName = "creating"

  func directory(_ id: String) -> String { "\(root)/\(id)" }
  func isWaiting(_ id: String) -> Bool { Files.exists("\(directory(id))/\(Self.socketName)") }
  func isBeingCreated(_ id: String) -> Bool { Files.exists("\(directory(id))/\(Self.earlySocketName)") }

  /// From now on it can be started.
  func setWaiting(_ id: String) throws(Failure) {
    let path = "\(directory(id))/\(Self.socketName)"
    guard rename("\(directory(id))/\(Self.earlySocketName)", path) == 0 else { throw Self.failure("make", path, errno) }
  }

  /// Held until the descriptor is closed, or its process ends. nil = somebody else has it.
  func lock(_ id: String) -> Int32? {
    let descriptor = open(directory(id), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return descriptor }
    close(descriptor)
    return nil
  }

  static func checkID(_ id: String) throws(Failure) {
    let isPlain = id.utf8.allSatisfy {
      (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || "_+-.".utf8.contains($0)
    }
    guard isPlain, !id.isEmpty, id != ".", id != "..", id.utf8.count <= idBytesMaximum else {
      throw Failure(
        .rejected, code: "bundle.id", message: "\"\(id.prefix(80))\" cannot name a container",
        remedy: "use 1 to \(idBytesMaximum) letters, digits, _, +, - and .")
    }
  }

  /// Makes its directory: two containers of one name cannot come to be.
  func claim(_ id: String) throws(Failure) {
    let error = Files.makeDirectories(root, mode: 0o700)
    guard error == 0 else { throw Self.failure("make", root, error) }
    guard mkdir(directory(id), 0o700) == 0 else {
      guard errno == EEXIST else { throw Self.failure("make", directory(id), errno) }
      throw Failure(
        .rejected, code: "bundle.exists", message: "there is a container \(id) already",
        remedy: "delete it, or choose another ID")
    }
  }

  static func failure(_ verb: String, _ path: String, _ number: Int32) -> Failure {
    Failure(
      .internalError, code: "bundle.store", message: "cannot \(verb) \(path): \(sentence(ofErrno: number))",
      remedy: "choose another --root, or make room")
  }

  /// Whole or not at all.
  private func write(_ bytes: [UInt8], _ name: String, of id: String) throws(Failure) {
    let path = "\(directory(id))/\(name)"
    let error = Files.write(bytes, to: path + ".new")
    guard error == 0, rename(path + ".new", path) == 0 else {
      throw Self.failure("write", path, error == 0 ? errno : error)
    }
  }

  func save(configuration: [UInt8], of id: String) throws(Failure) { try write(configuration, "config.json", of: id) }

  func save(_ record: BundleRecord) throws(Failure) {
    var annotations: [String: JSON] = [:]
    for (key, value) in record.annotations { annotations[key] = .string(value) }
    let json: JSON = [
      "id": .string(record.id), "bundle": .string(record.bundle), "ociVersion": .string(record.version),
      "pid": .integer(Int64(record.pid)), "startTime": .integer(Int64(clamping: record.startTime)),
      "cgroup": .string(record.cgroupPath), "created": .integer(record.created), "annotations": .object(annotations),
    ]
    try write(json.canonicalBytes, "state.json", of: record.id)
  }

  func load(_ id: String) throws(Failure) -> BundleRecord {
    try Self.checkID(id)
    guard Files.exists(directory(id)) else {
      throw Failure(
        .rejected, code: "bundle.unknown", message: "there is no container \(id)", remedy: "see `wherry-oci list`")
    }
    // Its `create` is under way, or was killed.
    guard let bytes = Files.read("\(directory(id))/state.json") else { return unknown(id) }
    do {
      let json = JSONCursor(try JSON(parsing: bytes))
      var annotations: [String: String] = [:]
      for (key, value) in try json.require("annotations").object() { annotations[key] = try value.string() }
      return BundleRecord(
        id: id, bundle: try json.require("bundle").string(), version: try json.require("ociVersion").string(),
        pid: Int32(clamping: try json.require("pid").integer()),
        startTime: UInt64(clamping: try json.require("startTime").integer()),
        cgroupPath: try json.require("cgroup").string(), created: try json.require("created").integer(),
        annotations: annotations)
    } catch {
      throw Failure(
        .internalError, code: "bundle.store", message: "the state of \(id) cannot be read: \(error)",
        remedy: "remove it with `wherry-oci delete --force \(id)`")
    }
  }

  /// Of a container of which nothing is known but its name, and where its cgroup is.
  func unknown(_ id: String, cgroupPath: String = "") -> BundleRecord {
    BundleRecord(
      id: id, bundle: "", version: "1.0.2", pid: 0, startTime: 0, cgroupPath: cgroupPath, created: 0, annotations: [:])
  }

  func bundle(of id: String) throws(Failure) -> Bundle {
    try Self.bundle(at: "\(directory(id))/config.json").bundle
  }

  static func bundle(at path: String) throws(Failure) -> (bundle: Bundle, bytes: [UInt8]) {
    guard let bytes = Files.read(path, maximum: Bundle.bytesMaximum + 1) else {
      throw BundleProgram.refusal("\(path) cannot be read: \(sentence(ofErrno: errno))", "name the bundle's directory")
    }
    do {
      let limits = JSONLimits(bytesMaximum: Bundle.bytesMaximum, depthMaximum: 32)
      return (try Bundle(JSONCursor(try JSON(parsing: bytes, limits: limits))), bytes)
    } catch { throw BundleProgram.refusal("\(path): \(error)", "mend it") }
  }

  func remove(_ id: String) { Files.removeTree(directory(id)) }

  func all() -> [String] { Files.names(in: root).filter { (try? Self.checkID($0)) != nil } }
}

/// What /proc says of a process, and how it ended.
enum ProcessTable {
  /// Waits for a child of this process. Its status is as wait(2) has it.
  @discardableResult
  static func wait(for pid: Int32) -> Int32 {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return status
  }

  /// nil = it is not there, or has ended and waits for its parent to look.
  static func startTime(of pid: Int32) -> UInt64? {
    guard pid > 0, let text = Files.text("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
    // The name before may hold anything; from the third field on there are none.
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 19, let state = fields.first, state != "Z", state != "X" else { return nil }
    return UInt64(fields[19])
  }
}
