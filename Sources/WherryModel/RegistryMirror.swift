/// Another place that has a registry's content: `mirror.example.com`, `mirror.example.com/docker-hub` for repositories
/// under a prefix, `http://10.0.0.2:5000` where the operator lets the content travel in the clear.
package struct RegistryMirror: Hashable, Sendable, CustomStringConvertible {
  package let host: RegistryHost
  package let isEncrypted: Bool
  /// Before the repository's own name, without slashes at its ends; may be empty.
  private let path: String

  package init?(_ text: String) {
    isEncrypted = !text.hasPrefix("http://")
    let scheme = ["https://", "http://"].first(where: text.hasPrefix) ?? ""
    let rest = text.dropFirst(scheme.count)
    let authority = rest.prefix { $0 != "/" }
    guard text.utf8.count <= 512, let host = RegistryHost(String(authority)) else { return nil }
    self.host = host
    var path = rest[authority.endIndex...].dropFirst()
    if path.hasSuffix("/") { path = path.dropLast() }
    guard path.isEmpty || Self.isPath(path) else { return nil }
    self.path = String(path)
  }

  private static func isPath(_ text: Substring) -> Bool {
    text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
      part != "." && part != ".." && !part.isEmpty
        && part.utf8.allSatisfy {
          (97...122).contains($0) || (48...57).contains($0)
            || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains($0)
        }
    }
  }

  /// Scheme and authority.
  package var base: String { (isEncrypted ? "https://" : "http://") + host.address }
  /// What a repository of the registry is called here.
  package func repository(_ name: String) -> String { path.isEmpty ? name : "\(path)/\(name)" }
  package var description: String {
    "\(isEncrypted ? "" : "http://")\(host)\(path.isEmpty ? "" : "/")\(path)"
  }
}
