import WherryModel

/// Brings an image into a repository: its blobs, then the manifests that need them, last the one that gets the name. So
/// whoever pulls meanwhile finds the old image or the new one whole.
package struct RegistryTransfer {
  package enum Outcome: String, Hashable, Sendable {
    /// It was there.
    case present
    /// Another repository of the same registry had it.
    case mounted
    case pushed
  }

  package enum Event: Hashable, Sendable {
    /// Bytes of all blobs together; what need not be moved counts as done.
    case progress(done: Int64, total: Int64)
    case blob(RegistryContent, Outcome, number: Int, count: Int)
  }

  package struct Summary: Hashable, Sendable {
    package var digest: Digest
    package var blobs = 0
    /// Of all blobs.
    package var bytes: Int64 = 0
    /// Of those that were pushed.
    package var bytesPushed: Int64 = 0
  }

  private static let depthMaximum = 4
  private static let manifestsMaximum = 1_000
  private static let blobsMaximum = 100_000

  private let source: any RegistrySource
  private let destination: RegistryClient
  private let repository: String
  private let neighbour: String?
  private let onEvent: (Event) -> Void

  /// - Parameter neighbour: the repository of the same registry that the image comes from.
  package init(
    from source: any RegistrySource, to repository: String, at destination: RegistryClient, neighbour: String? = nil,
    onEvent: @escaping (Event) -> Void
  ) {
    self.source = source
    self.repository = repository
    self.destination = destination
    self.neighbour = neighbour
    self.onEvent = onEvent
  }

  /// - Parameter name: the tag.
  package func run(_ image: RegistryContent, as name: String) throws -> Summary {
    try RegistryClient.requireReference(name)
    var parts = Parts()
    try collect(image, into: &parts, depth: 0)
    var summary = Summary(digest: image.digest, blobs: parts.blobs.count)
    summary.bytes = parts.blobs.reduce(0) { $0 + $1.size }
    var done: Int64 = 0
    onEvent(.progress(done: 0, total: summary.bytes))
    for (index, blob) in parts.blobs.enumerated() {
      let outcome = try bring(blob) { [done] part in onEvent(.progress(done: done + part, total: summary.bytes)) }
      done += blob.size
      if outcome == .pushed { summary.bytesPushed += blob.size }
      onEvent(.blob(blob, outcome, number: index + 1, count: parts.blobs.count))
      onEvent(.progress(done: done, total: summary.bytes))
    }
    for manifest in parts.manifests {
      let isImage = manifest.digest == image.digest
      try destination.put(manifest, as: isImage ? name : "\(manifest.digest)", in: repository)
    }
    return summary
  }

  // MARK: - What belongs to it

  private struct Parts {
    /// Each behind those that it refers to.
    var manifests: [RegistryManifest] = []
    var blobs: [RegistryContent] = []
    var seen: Set<Digest> = []
  }

  private func collect(_ content: RegistryContent, into parts: inout Parts, depth: Int) throws {
    guard parts.seen.insert(content.digest).inserted else { return }
    guard depth < Self.depthMaximum, parts.manifests.count < Self.manifestsMaximum else {
      throw ClientError.failed(
        "the image \(content.digest) has more than \(Self.manifestsMaximum) manifests, or its indexes lie more than "
          + "\(Self.depthMaximum) deep within each other; rebuild it")
    }
    let manifest = try source.manifest(content)
    for child in manifest.manifests { try collect(child, into: &parts, depth: depth + 1) }
    for blob in manifest.blobs where parts.seen.insert(blob.digest).inserted { parts.blobs.append(blob) }
    guard parts.blobs.count <= Self.blobsMaximum else {
      throw ClientError.failed("the image has more than \(Self.blobsMaximum) layers; rebuild it")
    }
    parts.manifests.append(manifest)
  }

  // MARK: - Moving

  private func bring(_ blob: RegistryContent, onProgress: (Int64) -> Void) throws -> Outcome {
    if try destination.hasBlob(blob.digest, in: repository) { return .present }
    if let neighbour, try destination.mount(blob.digest, from: neighbour, to: repository) { return .mounted }
    // What has to be fetched first is half done then.
    let file = try source.file(of: blob) { fetched in onProgress(fetched / 2) }
    defer { source.release(file) }
    let before = source.isLocal ? 0 : blob.size / 2
    try destination.push(blob, from: file, to: repository) { pushed in
      onProgress(source.isLocal ? pushed : before + pushed / 2)
    }
    return .pushed
  }
}
