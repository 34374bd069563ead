import Glibc
import Hummingbird
import Synchronization
import WherryCrypto
import WherryDatabase
import WherryModel

/// The uploads under way, by their random ids: bounded in number, forgotten when nobody asks for them any more.
final class RegistryUploads: Sendable {
  /// Of one token at a time: docker pushes five layers at once, a build server some images at once.
  static let countMaximum = 100
  static let idleSecondsMaximum = 3_600
  /// Whoever begins an upload in vain is told to come back then: clients leave uploads behind, and one that rested for
  /// so long gives its place up when its token needs it.
  static let restSecondsMinimum = 60

  private struct Entry {
    let upload: RegistryUpload
    let owner: String
    var lastUsed: Instant
  }

  private let directory: String
  private let entries = Mutex<[String: Entry]>([:])

  /// - Parameter directory: in the same file system as the store's blobs.
  init(directory: String) { self.directory = directory }

  /// Begins one. Idle ones, of anybody, are removed first, and where the token still has too many the one that rested
  /// for longest.
  func make(in repository: RepositoryName, by owner: String, at now: Instant) throws -> RegistryUpload {
    removeIdle(at: now)
    let id = randomBytes(16).map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    let upload = RegistryUpload(id: id, repository: repository, directory: directory)
    let past = now.advanced(bySeconds: -Self.restSecondsMinimum)
    let (isRoom, displaced) = entries.withLock { entries -> (Bool, RegistryUpload?) in
      let own = entries.values.filter { $0.owner == owner }
      var displaced: RegistryUpload?
      if own.count >= Self.countMaximum {
        guard let oldest = own.min(by: { $0.lastUsed < $1.lastUsed }), oldest.lastUsed < past else {
          return (false, nil)
        }
        displaced = oldest.upload
        entries[oldest.upload.id] = nil
      }
      entries[id] = Entry(upload: upload, owner: owner, lastUsed: now)
      return (true, displaced)
    }
    guard isRoom else {
      throw RegistryError(
        .tooManyRequests, .tooManyRequests, "the token \(owner) has \(Self.countMaximum) uploads under way",
        remedy: "finish or cancel some of them, or try again in a minute",
        headers: [.retryAfter: "\(Self.restSecondsMinimum)"])
    }
    if let displaced { remove(displaced) }
    return upload
  }

  /// Whoever did not begin an upload does not learn that there is one.
  func find(_ id: String, in repository: RepositoryName, by owner: String, at now: Instant) throws -> RegistryUpload {
    let upload = entries.withLock { entries -> RegistryUpload? in
      guard let entry = entries[id], entry.owner == owner, entry.upload.repository == repository else { return nil }
      entries[id]?.lastUsed = now
      return entry.upload
    }
    guard let upload else { throw RegistryError.noUpload(String(id.prefix(64))) }
    return upload
  }

  /// An upload that receives bytes is not idle, however long one request takes.
  func touch(_ upload: RegistryUpload, at now: Instant) {
    entries.withLock { $0[upload.id]?.lastUsed = now }
  }

  /// Its file goes too, where it was not taken into the store.
  func remove(_ upload: RegistryUpload) {
    entries.withLock { $0[upload.id] = nil }
    unlink(upload.path)
  }

  var count: Int { entries.withLock { $0.count } }

  private func removeIdle(at now: Instant) {
    let past = now.advanced(bySeconds: -Self.idleSecondsMaximum)
    let idle = entries.withLock { entries in entries.values.filter { $0.lastUsed < past }.map(\.upload) }
    for upload in idle { remove(upload) }
  }
}
