import WherryJSON
import WherryModel
import WherrySQLite

/// A manifest of a repository. Its bytes are a blob of the store.
package struct RegistryManifestRecord: Hashable, Sendable {
  package var digest: Digest
  /// As it was pushed: the same bytes are served under it.
  package var mediaType: String
  package var size: Int64
  /// The manifest that this one says something about; that one need not be there.
  package var subject: Digest?
  package var artifactType: String?

  package init(digest: Digest, mediaType: String, size: Int64, subject: Digest? = nil, artifactType: String? = nil) {
    self.digest = digest
    self.mediaType = mediaType
    self.size = size
    self.subject = subject
    self.artifactType = artifactType
  }
}

/// A manifest with a subject, as the list of that subject's referrers shows it.
package struct RegistryReferrer: Hashable, Sendable {
  package var manifest: RegistryManifestRecord
  /// An object of strings.
  package var annotations: JSON

  package init(manifest: RegistryManifestRecord, annotations: JSON) {
    self.manifest = manifest
    self.annotations = annotations
  }
}

// MARK: - Repositories

extension InventoryDatabase {
  /// Idempotent.
  package func createRepository(_ name: RepositoryName, at now: Instant) throws {
    try store.run(
      "INSERT INTO registry_repositories(name, created_at) VALUES(?, ?) ON CONFLICT(name) DO NOTHING",
      [.text(name.rawValue), .instant(now)])
  }

  package func hasRepository(_ name: RepositoryName) throws -> Bool {
    try !store.query("SELECT 1 FROM registry_repositories WHERE name = ?", [.text(name.rawValue)]).isEmpty
  }

  /// In the order of their bytes, from behind `last`; "" is before all.
  package func repositories(after last: String, limit: Int) throws -> [RepositoryName] {
    try store.query(
      "SELECT name FROM registry_repositories WHERE name > ? ORDER BY name LIMIT ?",
      [.text(last), .integer(Int64(limit))]
    ).map { RepositoryName(trusted: try $0.string("name")) }
  }
}

// MARK: - Blobs

extension InventoryDatabase {
  /// Makes a blob visible in a repository, which must be there. Again is no error: it is then as if linked now.
  package func linkBlob(_ digest: Digest, to repository: RepositoryName, at now: Instant) throws {
    try store.run(
      """
      INSERT INTO registry_blobs(repository, digest, linked_at) VALUES(?, ?, ?)
      ON CONFLICT(repository, digest) DO UPDATE SET linked_at = excluded.linked_at
      """, [.text(repository.rawValue), .text(digest.description), .instant(now)])
  }

  package func isBlobLinked(_ digest: Digest, to repository: RepositoryName) throws -> Bool {
    try !store.query(
      "SELECT 1 FROM registry_blobs WHERE repository = ? AND digest = ?",
      [.text(repository.rawValue), .text(digest.description)]
    ).isEmpty
  }

  package func isBlobLinkedAnywhere(_ digest: Digest) throws -> Bool {
    try !store.query("SELECT 1 FROM registry_blobs WHERE digest = ? LIMIT 1", [.text(digest.description)]).isEmpty
  }

  /// Sets the time of a link that is older than `past` to now.
  package func renewBlobLink(
    _ digest: Digest, in repository: RepositoryName, olderThan past: Instant, at now: Instant
  ) throws {
    try store.run(
      "UPDATE registry_blobs SET linked_at = ? WHERE repository = ? AND digest = ? AND linked_at < ?",
      [.instant(now), .text(repository.rawValue), .text(digest.description), .instant(past)])
  }

  /// True if it was linked.
  package func unlinkBlob(_ digest: Digest, from repository: RepositoryName) throws -> Bool {
    try store.run(
      "DELETE FROM registry_blobs WHERE repository = ? AND digest = ?",
      [.text(repository.rawValue), .text(digest.description)])
    return store.changes > 0
  }
}

// MARK: - Manifests

extension InventoryDatabase {
  /// The repository must be there. Again is no error: only the media type can differ, and the newest counts.
  /// - Parameter references: blobs and manifests that this one cannot do without.
  package func putManifest(
    _ manifest: RegistryManifestRecord, annotations: JSON, references: Set<Digest>, in repository: RepositoryName,
    at now: Instant
  ) throws {
    try store.run(
      """
      INSERT INTO registry_manifests(
        repository, digest, media_type, size, subject, artifact_type, annotations, created_at)
      VALUES(?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT(repository, digest) DO UPDATE SET media_type = excluded.media_type
      """,
      [
        .text(repository.rawValue), .text(manifest.digest.description), .text(manifest.mediaType),
        .integer(manifest.size), .optional(manifest.subject?.description), .optional(manifest.artifactType),
        .text(annotations.canonical), .instant(now),
      ])
    for reference in references.sorted() {
      try store.run(
        """
        INSERT INTO registry_references(repository, manifest, digest) VALUES(?, ?, ?)
        ON CONFLICT(repository, manifest, digest) DO NOTHING
        """, [.text(repository.rawValue), .text(manifest.digest.description), .text(reference.description)])
    }
  }

  package func manifest(_ digest: Digest, in repository: RepositoryName) throws -> RegistryManifestRecord? {
    try store.query(
      """
      SELECT digest, media_type, size, subject, artifact_type FROM registry_manifests
      WHERE repository = ? AND digest = ?
      """, [.text(repository.rawValue), .text(digest.description)]
    ).first.map(Self.manifest)
  }

  package func manifest(tagged tag: TagName, in repository: RepositoryName) throws -> RegistryManifestRecord? {
    let rows = try store.query(
      "SELECT digest FROM registry_tags WHERE repository = ? AND name = ?",
      [.text(repository.rawValue), .text(tag.rawValue)])
    guard let digest = try rows.first.map({ try $0.digest("digest") }) else { return nil }
    return try manifest(digest, in: repository)
  }

  /// A manifest of the repository that cannot do without this blob or manifest.
  package func manifest(needing digest: Digest, in repository: RepositoryName) throws -> Digest? {
    try store.query(
      "SELECT manifest FROM registry_references WHERE repository = ? AND digest = ? ORDER BY manifest LIMIT 1",
      [.text(repository.rawValue), .text(digest.description)]
    ).first.map { try $0.digest("manifest") }
  }

  /// Its tags go with it. True if it was there.
  package func removeManifest(_ digest: Digest, in repository: RepositoryName) throws -> Bool {
    try store.run(
      "DELETE FROM registry_manifests WHERE repository = ? AND digest = ?",
      [.text(repository.rawValue), .text(digest.description)])
    return store.changes > 0
  }

  /// Manifests with this subject, by digest, from behind `last`, as many as make about `bytesMaximum` bytes of JSON
  /// and at least one; whether these are all that there are.
  package func referrers(
    of subject: Digest, in repository: RepositoryName, artifactType: String?, after last: Digest?, bytesMaximum: Int
  ) throws -> (page: [RegistryReferrer], isWhole: Bool) {
    var page: [RegistryReferrer] = []
    var bytes = 0
    var isWhole = true
    try store.forEach(
      """
      SELECT digest, media_type, size, subject, artifact_type, annotations FROM registry_manifests
      WHERE repository = ? AND subject = ? AND digest > ? AND (? IS NULL OR artifact_type = ?) ORDER BY digest
      """,
      [
        .text(repository.rawValue), .text(subject.description), .text(last?.description ?? ""),
        .optional(artifactType), .optional(artifactType),
      ]
    ) { row in
      // The descriptor beside the annotations has a few hundred bytes.
      bytes += try row.string("annotations").utf8.count + 512
      guard page.isEmpty || bytes <= bytesMaximum else {
        isWhole = false
        return false
      }
      page.append(RegistryReferrer(manifest: try Self.manifest(row), annotations: try row.json("annotations")))
      return true
    }
    return (page, isWhole)
  }

  private static func manifest(_ row: SQLiteRow) throws -> RegistryManifestRecord {
    RegistryManifestRecord(
      digest: try row.digest("digest"), mediaType: try row.string("media_type"), size: try row.integer("size"),
      subject: row.optionalDigest("subject"), artifactType: row.optionalString("artifact_type"))
  }
}

// MARK: - Tags

extension InventoryDatabase {
  /// Moves the tag if there is one of that name; the manifest must be there.
  package func setTag(_ tag: TagName, to manifest: Digest, in repository: RepositoryName, at now: Instant) throws {
    try store.run(
      """
      INSERT INTO registry_tags(repository, name, digest, updated_at) VALUES(?, ?, ?, ?)
      ON CONFLICT(repository, name) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at
      """,
      [.text(repository.rawValue), .text(tag.rawValue), .text(manifest.description), .instant(now)])
  }

  /// True if there was one. The manifest stays.
  package func removeTag(_ tag: TagName, in repository: RepositoryName) throws -> Bool {
    try store.run(
      "DELETE FROM registry_tags WHERE repository = ? AND name = ?", [.text(repository.rawValue), .text(tag.rawValue)])
    return store.changes > 0
  }

  /// In the order of their bytes, from behind `last`; "" is before all.
  package func tags(of repository: RepositoryName, after last: String, limit: Int) throws -> [TagName] {
    try store.query(
      "SELECT name FROM registry_tags WHERE repository = ? AND name > ? ORDER BY name LIMIT ?",
      [.text(repository.rawValue), .text(last), .integer(Int64(limit))]
    ).map { TagName(trusted: try $0.string("name")) }
  }
}
