import WherryModel

/// `[registry/]repository[:tag][@digest]`, as people write images. The grammar is that of the distribution
/// specification; short names mean what Docker made them mean. `wherry:repository[:tag][@digest]` is an image of the
/// inventory service's own registry, so that recipes need not know where that is.
package struct ImageReference: Hashable, Sendable, CustomStringConvertible {
  /// Host and optional port, as written: `docker.io`, `registry.example.com:5000`; or `serviceRegistry`.
  package let registry: String
  package let repository: String
  /// nil only when there is a digest.
  package let tag: String?
  package let digest: Digest?

  package init(registry: String, repository: String, tag: String?, digest: Digest?) {
    self.registry = registry
    self.repository = repository
    self.tag = tag
    self.digest = digest
  }

  package static let defaultRegistry = "docker.io"
  /// No host is named like this: a colon is followed by a port.
  package static let serviceRegistry = PlannedImage.serviceRegistry
  private static let textBytesMaximum = 512

  package init(parsing text: String, defaultRegistry: String = Self.defaultRegistry) throws(Failure) {
    guard !text.isEmpty, text.utf8.count <= Self.textBytesMaximum else {
      throw Self.refusal(text, "it is empty or longer than \(Self.textBytesMaximum) bytes")
    }
    var rest = Substring(text)
    var digest: Digest?
    if let at = rest.firstIndex(of: "@") {
      digest = Digest(String(rest[rest.index(after: at)...]))
      guard digest != nil else {
        throw Self.refusal(text, "what follows \"@\" is not sha256: and 64 lower-case digits")
      }
      rest = rest[..<at]
    }
    var registry = defaultRegistry
    if rest.hasPrefix(Self.serviceRegistry) {
      registry = Self.serviceRegistry
      rest = rest.dropFirst(Self.serviceRegistry.count)
    } else if let slash = rest.firstIndex(of: "/"), Self.namesRegistry(rest[..<slash]) {
      registry = String(rest[..<slash])
      rest = rest[rest.index(after: slash)...]
    }
    var tag: String?
    if let colon = rest.lastIndex(of: ":") {
      tag = String(rest[rest.index(after: colon)...])
      rest = rest[..<colon]
    }
    if tag == nil, digest == nil { tag = "latest" }
    guard registry == Self.serviceRegistry || Self.isRegistry(registry) else {
      throw Self.refusal(text, "\"\(registry)\" is not a host with optional port")
    }
    guard Self.isRepository(rest) else {
      throw Self.refusal(text, "\"\(rest)\" is not a repository name of lower-case letters, digits and . _ - between /")
    }
    if let tag, !Self.isTag(tag) { throw Self.refusal(text, "\"\(tag)\" is not a tag") }
    // Docker Hub keeps its own images under "library".
    let isShort = registry == Self.defaultRegistry && !rest.contains("/")
    self.init(registry: registry, repository: isShort ? "library/\(rest)" : String(rest), tag: tag, digest: digest)
  }

  private static func refusal(_ text: String, _ reason: String) -> Failure {
    Failure(
      .rejected, code: "image.reference", message: "image reference \"\(text.prefix(200))\" is not valid: \(reason)",
      remedy: "write it as registry.example.com/team/name:tag, or wherry:team/name:tag for the service's own registry")
  }

  /// Docker's rule: the first part is a host if it looks like one.
  private static func namesRegistry(_ part: Substring) -> Bool {
    part == "localhost" || part.contains(".") || part.contains(":") || part.contains { $0.isUppercase }
  }

  private static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (97...122).contains(byte)
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    isLowerAlphanumeric(byte) || (65...90).contains(byte) || byte == UInt8(ascii: "_")
  }

  static func isRegistry(_ text: String) -> Bool { RegistryHost.isAuthority(text) }

  static func isRepository(_ text: Substring) -> Bool {
    guard !text.isEmpty, text.utf8.count <= 255 else { return false }
    return text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
      guard let first = part.utf8.first, let last = part.utf8.last, isLowerAlphanumeric(first),
        isLowerAlphanumeric(last)
      else { return false }
      // Between letters and digits: one ".", one or two "_", any number of "-".
      let separators = part.utf8.split(whereSeparator: isLowerAlphanumeric).map { Array($0) }
      return separators.allSatisfy { run in
        run == Array(".".utf8) || run == Array("_".utf8) || run == Array("__".utf8)
          || run.allSatisfy { $0 == UInt8(ascii: "-") }
      }
    }
  }

  static func isTag(_ text: String) -> Bool {
    guard let first = text.utf8.first, isWord(first), text.utf8.count <= 128 else { return false }
    return text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
  }

  /// Written with `wherry:`.
  package var isOfService: Bool { registry == Self.serviceRegistry }

  /// What the registry is asked for: the digest where there is one.
  package var manifestName: String { digest?.description ?? tag ?? "latest" }

  package var description: String {
    "\(registry)\(isOfService ? "" : "/")\(repository)" + (tag.map { ":\($0)" } ?? "") + (digest.map { "@\($0)" } ?? "")
  }
}
