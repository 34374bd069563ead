import WherryModel

/// Which blobs of the store nobody needs any more.
enum RegistryGarbage {
  /// What is younger is kept, needed or not: it may belong to an image or a component that is being pushed and is not
  /// named anywhere yet.
  static let graceSeconds = 24 * 3_600

  struct StoredBlob: Hashable, Sendable {
    var digest: Digest
    /// When its last byte was written.
    var storedAt: Instant
  }

  /// Ascending. `needed` is everything that a repository shows, a manifest is or refers to, and a component version, a
  /// plan or a deployment's pinned image names.
  static func unreachable(_ stored: [StoredBlob], needed: Set<Digest>, at now: Instant) -> [Digest] {
    let past = now.advanced(bySeconds: -graceSeconds)
    return stored.filter { $0.storedAt < past && !needed.contains($0.digest) }.map(\.digest).sorted()
  }

  /// Every digest that a text names, whatever the text is: a field that is added to plans tomorrow keeps its blob, too.
  static func digests(in text: String) -> Set<Digest> {
    let mark = Array("sha256:".utf8)
    let bytes = Array(text.utf8)
    var digests: Set<Digest> = []
    var position = 0
    while position + mark.count + 64 <= bytes.count {
      guard bytes[position] == mark[0], bytes[position..<position + mark.count].elementsEqual(mark) else {
        position += 1
        continue
      }
      position += mark.count
      let hex = String(decoding: bytes[position..<position + 64], as: UTF8.self)
      if let digest = Digest(hex: hex) { digests.insert(digest) }
    }
    return digests
  }
}
