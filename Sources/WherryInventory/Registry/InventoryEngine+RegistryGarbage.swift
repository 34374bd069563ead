import Glibc
import WherryDatabase
import WherryModel
import WherryOCI
import WherryWire

extension InventoryEngine {
  /// Removes the blobs that nobody needs, and forgets links and repositories that show nothing. A push under way is
  /// safe: what is younger than a day stays, and so does what a push was told of.
  /// - Returns: how many blobs went.
  @discardableResult
  package func collectRegistryGarbage() throws -> Int {
    try sweepRegistry(untagged: false, isDryRun: false, auditedAs: nil).blobs
  }

  /// - Parameter untagged: also manifests that no tag, index, component, plan or deployment names any more.
  /// - Parameter isDryRun: everything is done and taken back, apart from the blobs themselves.
  package func collectRegistryGarbage(untagged: Bool, isDryRun: Bool, by actor: String) throws -> GarbageReport {
    try sweepRegistry(untagged: untagged, isDryRun: isDryRun, auditedAs: actor)
  }

  private func sweepRegistry(untagged: Bool, isDryRun: Bool, auditedAs actor: String?) throws -> GarbageReport {
    struct TakenBack: Error {}
    let now = environment.now()
    let past = now.advanced(bySeconds: -RegistryGarbage.graceSeconds)
    let named = try digestsNamedElsewhere()
    var manifests = 0
    var garbage: [Digest] = []
    do {
      try database.transaction {
        if untagged { manifests = try removeUntagged(createdBefore: past, besides: named) }
        try database.pruneRegistry(linkedBefore: past)
        let needed = try database.registryDigests().union(named)
        garbage = RegistryGarbage.unreachable(try storedBlobs(), needed: needed, at: now)
        guard !isDryRun else { throw TakenBack() }
        guard let actor else { return }
        try database.audit(
          "registry.gc", subject: "registry", actor: actor,
          detail: "\(manifests) manifests, \(garbage.count) blobs", at: now)
      }
    } catch is TakenBack {}
    let bytes = garbage.reduce(Int64(0)) { $0 + (environment.blobs.size(of: $1) ?? 0) }
    if !isDryRun { for digest in garbage { try environment.blobs.remove(digest) } }
    return GarbageReport(blobs: garbage.count, bytes: bytes, manifests: manifests, isDryRun: isDryRun)
  }

  /// By component versions, plans and the images that deployments are pinned to.
  private func digestsNamedElsewhere() throws -> Set<Digest> {
    var digests: Set<Digest> = []
    try database.forEachTextWithDigests { digests.formUnion(RegistryGarbage.digests(in: $0)) }
    return digests
  }

  /// What an index held may be untagged once the index is gone, so it looks until nothing is found.
  private func removeUntagged(createdBefore past: Instant, besides named: Set<Digest>) throws -> Int {
    var count = 0
    while true {
      let found = try database.untaggedManifests(createdBefore: past).filter { !named.contains($0.digest) }
      if found.isEmpty { return count }
      for manifest in found where try database.removeManifest(manifest.digest, in: manifest.repository) { count += 1 }
    }
  }

  /// Every six hours: what was pushed and deleted since.
  static let garbageIntervalSeconds = 6 * 3_600

  func armGarbageTimer() {
    garbageTimer?.cancel()
    garbageTimer = Task { [weak self] in
      while !Task.isCancelled {
        try? await Task.sleep(for: .seconds(Self.garbageIntervalSeconds))
        guard !Task.isCancelled, let self else { return }
        await self.collectRegistryGarbageOrNote()
      }
    }
  }

  /// For the start: a store that could not be tidied is no reason not to serve.
  func collectRegistryGarbageOrNote() {
    do {
      let count = try collectRegistryGarbage()
      if count > 0 { environment.note("\(count) blobs that nothing needs were removed from the store") }
    } catch {
      environment.note("the store's garbage was not collected: \(error)")
    }
  }

  private func storedBlobs() throws -> [RegistryGarbage.StoredBlob] {
    try environment.blobs.all().compactMap { digest in
      var status = stat()
      guard lstat(environment.blobs.path(of: digest), &status) == 0 else { return nil }
      let milliseconds = Int64(status.st_mtim.tv_sec) * 1_000 + Int64(status.st_mtim.tv_nsec) / 1_000_000
      return RegistryGarbage.StoredBlob(digest: digest, storedAt: Instant(milliseconds: milliseconds))
    }
  }
}
