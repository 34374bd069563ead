import Glibc
import WherryJSON
import WherryModel

/// What one workload has of the agent's network.
package struct NetworkLease: Hashable, Sendable {
  package var workload: String
  var ipv4: IPAddress
  /// Nil where workloads have no IPv6.
  var ipv6: IPAddress?
  /// Name of the link on the bridge.
  var link: String
  package var ports: [PublishedPort]
  var names: [String] = []
  /// Nil = everything.
  var egress: [EgressRule]?
  /// To be opened and entered (setns(2), CLONE_NEWNET) by the workload's launch; not with O_PATH, which setns refuses.
  /// nil for a workload that was there before the agent.
  package var namespacePath: String?

  package var address: String { ipv4.description }
  package var address6: String? { ipv6?.description }

  func address(_ family: IPFamily) -> IPAddress? { family == .v4 ? ipv4 : ipv6 }

  /// Locally administered, and the same for the same address: a neighbour's memory is never wrong.
  var hardwareAddress: [UInt8] { Self.hardwareAddress(ipv4) }
  static func hardwareAddress(_ ipv4: IPAddress) -> [UInt8] { [0x02, 0x57] + ipv4.bytes }
}

/// Leases as files, one each, written before the kernel is changed and removed after: whatever moment the agent dies
/// at, the next one knows of everything that there may be.
struct LeaseDirectory {
  let path: String

  func save(_ lease: NetworkLease) throws(Failure) {
    let ports = lease.ports.map {
      [
        "host": .integer(Int64($0.host)), "container": .integer(Int64($0.container)),
        "transport": .string($0.transport.rawValue),
      ] as JSON
    }
    var members: [String: JSON] = [
      "address": .string(lease.address), "link": .string(lease.link), "ports": .array(ports),
      "names": .array(lease.names.map(JSON.string)),
    ]
    members["address6"] = lease.address6.map(JSON.string)
    if let egress = lease.egress { members["egress"] = .array(egress.map { .string($0.description) }) }
    guard make(path), write(JSON.object(members).canonicalBytes, to: file(lease.workload)) else {
      throw Failure(
        .start, code: "network.lease",
        message: "the address lease of \(lease.workload) cannot be written under \(path): \(Self.reason())",
        remedy: "make the agent's run directory writable and see that its file system is not full")
    }
  }

  func remove(_ workload: String) { unlink(file(workload)) }

  func removeAll() {
    for name in names() { unlink(path + "/" + name) }
    rmdir(path)
  }

  /// A damaged file counts as none: its links are found on the bridge.
  func load() -> [NetworkLease] {
    names().compactMap { name in
      guard !name.hasPrefix("."), let bytes = read(path + "/" + name), let json = try? JSON(parsing: bytes) else {
        return nil
      }
      return try? lease(name, JSONCursor(json))
    }
  }

  private func lease(_ workload: String, _ cursor: JSONCursor) throws -> NetworkLease {
    guard let address = IPAddress(try cursor.require("address").string()), address.family == .v4 else {
      throw cursor.fail("no address")
    }
    let ports = try cursor.require("ports").array().map { port in
      guard let host = UInt16(exactly: try port.require("host").integer()),
        let container = UInt16(exactly: try port.require("container").integer()),
        let transport = PublishedPort.Transport(rawValue: try port.require("transport").string())
      else { throw port.fail("no port") }
      return PublishedPort(host: host, container: container, transport: transport)
    }
    var lease = NetworkLease(
      workload: workload, ipv4: address, link: try cursor.require("link").string(), ports: ports, namespacePath: nil)
    lease.ipv6 = try cursor.optional("address6").flatMap { IPAddress(try $0.string()) }
    lease.names = Self.texts(try cursor.optional("names")) ?? []
    // What cannot be read restricts to nothing rather than to everything.
    lease.egress = Self.texts(try cursor.optional("egress"))?.compactMap { EgressRule($0) }
    return lease
  }

  private static func texts(_ list: JSONCursor?) -> [String]? {
    guard let elements = try? list?.array() else { return nil }
    return elements.compactMap { try? $0.string() }
  }

  private func file(_ workload: String) -> String { path + "/" + workload }

  private func names() -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  private func make(_ path: String) -> Bool {
    if mkdir(path, 0o700) == 0 || errno == EEXIST { return true }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return false }
    return make(String(path[..<slash])) && (mkdir(path, 0o700) == 0 || errno == EEXIST)
  }

  /// By rename, so that a reader sees all of it or nothing. The directory is on a tmpfs and means nothing after a
  /// reboot, like the links that it speaks of: nothing is synced.
  private func write(_ bytes: [UInt8], to file: String) -> Bool {
    let partial = path + "/.partial"
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return false }
    let count = Glibc.write(descriptor, bytes, bytes.count)
    close(descriptor)
    return count == bytes.count && rename(partial, file) == 0
  }

  private func read(_ file: String) -> [UInt8]? {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    return count > 0 ? Array(buffer[..<count]) : nil
  }

  private static func reason() -> String { String(cString: strerror(errno)) }
}
