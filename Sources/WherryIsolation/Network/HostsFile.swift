import Glibc
import WherryModel

/// `/etc/hosts` of containers: each on the bridge finds the others by their names. The file is mounted into a
/// container, so it is written in place; libc reads it anew with each look-up (hosts(5)).
enum HostsFile {
  /// - Parameter own: nil = it is not on the bridge.
  static func text(hostName: String, own: NetworkLease?, neighbours: [NetworkLease]) -> String {
    var text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
    let names = [hostName].filter { !$0.isEmpty } + (own?.names ?? []).filter { $0 != hostName }
    if !names.isEmpty { text += "\(own?.address ?? "127.0.1.1") \(names.joined(separator: " "))\n" }
    guard own != nil else { return text }
    for lease in neighbours.sorted(by: { $0.workload < $1.workload })
    where lease.workload != own?.workload && !lease.names.isEmpty {
      text += "\(lease.address) \(lease.names.joined(separator: " "))\n"
    }
    return text
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
