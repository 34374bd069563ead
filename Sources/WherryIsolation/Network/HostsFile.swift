import Glibc
import WherryModel

/// `/etc/hosts` of containers: each on the bridge finds the others by their names. The file is mounted into a
/// container, so it is written in place; libc reads it anew with each look-up (hosts(5)).
enum HostsFile {
  /// - Parameter own: nil = it is not on the bridge.
  static func text(hostName: String, own: NetworkLease?, neighbours: [NetworkLease]) -> String {
    var text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
    let names = [hostName].filter { !$0.isEmpty } + (own?.names ?? []).filter { $0 != hostName }
    func add(_ addresses: [String], _ names: [String]) {
      guard !names.isEmpty else { return }
      for address in addresses { text += "\(address) \(names.joined(separator: " "))\n" }
    }
    add(own.map(addresses) ?? ["127.0.1.1"], names)
    guard own != nil else { return text }
    for lease in neighbours.sorted(by: { $0.workload < $1.workload }) where lease.workload != own?.workload {
      add(addresses(lease), lease.names)
    }
    return text
  }

  private static func addresses(_ lease: NetworkLease) -> [String] {
    [lease.address] + [lease.address6].compactMap { $0 }
  }

  /// Whoever reads meanwhile finds old lines or new ones, and at the end none twice.
  static func rewrite(_ path: String, _ text: String) {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    if pwrite(descriptor, bytes, bytes.count, 0) == bytes.count { ftruncate(descriptor, off_t(bytes.count)) }
  }
}
