import Glibc
import WherryDatabase
import WherryModel
import WherryOCI

extension InventoryEngine {
  /// Removes the blobs that nobody needs, and forgets links and repositories that show nothing. A push under way is
  /// safe: what is younger than a day stays, and so does what a push was told of.
  /// - Returns: how many blobs went.
  @discardableResult
  package func collectRegistryGarbage() throws -> Int {
    let now = environment.now()
    let past = now.advanced(bySeconds: -RegistryGarbage.graceSeconds)
    try database.transaction { try database.pruneRegistry(linkedBefore: past) }
    var needed = try database.registryDigests()
    try database.forEachTextWithDigests { needed.formUnion(RegistryGarbage.digests(in: $0)) }
    let garbage = RegistryGarbage.unreachable(try storedBlobs(), needed: needed, at: now)
    for digest in garbage { try environment.blobs.remove(digest) }
    return garbage.count
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
