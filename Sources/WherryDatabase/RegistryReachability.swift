import WherryModel
import WherrySQLite

extension Schema {
  /// The registry. References and tags lie within their repository, so that a manifest never names what is not there.
  static let registry = """
    CREATE TABLE registry_repositories(name TEXT PRIMARY KEY, created_at INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE registry_blobs(
      repository TEXT NOT NULL REFERENCES registry_repositories(name) ON DELETE CASCADE,
      digest TEXT NOT NULL,
      linked_at INTEGER NOT NULL,
      PRIMARY KEY(repository, digest)) WITHOUT ROWID;
    CREATE INDEX registry_blobs_by_digest ON registry_blobs(digest);

    CREATE TABLE registry_manifests(
      repository TEXT NOT NULL REFERENCES registry_repositories(name) ON DELETE CASCADE,
      digest TEXT NOT NULL,
      media_type TEXT NOT NULL,
      size INTEGER NOT NULL,
      subject TEXT,
      artifact_type TEXT,
      annotations TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      PRIMARY KEY(repository, digest));
    CREATE INDEX registry_manifests_by_subject ON registry_manifests(repository, subject, digest);

    CREATE TABLE registry_references(
      repository TEXT NOT NULL,
      manifest TEXT NOT NULL,
      digest TEXT NOT NULL,
      PRIMARY KEY(repository, manifest, digest),
      FOREIGN KEY(repository, manifest) REFERENCES registry_manifests(repository, digest) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX registry_references_by_digest ON registry_references(repository, digest);

    CREATE TABLE registry_tags(
      repository TEXT NOT NULL,
      name TEXT NOT NULL,
      digest TEXT NOT NULL,
      updated_at INTEGER NOT NULL,
      PRIMARY KEY(repository, name),
      FOREIGN KEY(repository, digest) REFERENCES registry_manifests(repository, digest) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX registry_tags_by_digest ON registry_tags(repository, digest);
    """
}

extension InventoryDatabase {
  /// Forgets links of blobs that no manifest of their repository needs and that are older than `past` (a younger one
  /// may belong to an image that is being pushed), and repositories in which nothing is left.
  package func pruneRegistry(linkedBefore past: Instant) throws {
    try store.run(
      """
      DELETE FROM registry_blobs WHERE linked_at < ? AND NOT EXISTS (
        SELECT 1 FROM registry_references
        WHERE registry_references.repository = registry_blobs.repository
          AND registry_references.digest = registry_blobs.digest)
      """, [.instant(past)])
    try store.run(
      """
      DELETE FROM registry_repositories WHERE created_at < ?
        AND NOT EXISTS (SELECT 1 FROM registry_blobs WHERE registry_blobs.repository = registry_repositories.name)
        AND NOT EXISTS (
          SELECT 1 FROM registry_manifests WHERE registry_manifests.repository = registry_repositories.name)
      """, [.instant(past)])
  }

  /// Every blob that a repository shows or one of its manifests is or needs.
  package func registryDigests() throws -> Set<Digest> {
    var digests: Set<Digest> = []
    try store.forEach(
      """
      SELECT digest FROM registry_blobs UNION SELECT digest FROM registry_manifests
      UNION SELECT digest FROM registry_references
      """
    ) { row in
      digests.insert(try row.digest("digest"))
      return true
    }
    return digests
  }

  /// Every stored text that names blobs by digest, one after the other: recipes of component versions, plans, and the
  /// images that deployments are pinned to.
  package func forEachTextWithDigests(_ body: (String) throws -> Void) throws {
    for query in ["SELECT recipe FROM components", "SELECT text FROM plans", "SELECT image FROM images"] {
      try store.forEach(query) { row in
        try body(row[0].text ?? "")
        return true
      }
    }
  }

  /// Manifests older than `past` that no tag and no index of their repository names, and that belong to no subject that
  /// is there: what a moved tag or a removed index left.
  package func untaggedManifests(createdBefore past: Instant) throws -> [(repository: RepositoryName, digest: Digest)] {
    try store.query(
      """
      SELECT repository, digest FROM registry_manifests AS m WHERE created_at < ?
        AND NOT EXISTS (
          SELECT 1 FROM registry_tags WHERE registry_tags.repository = m.repository AND registry_tags.digest = m.digest)
        AND NOT EXISTS (
          SELECT 1 FROM registry_references AS r WHERE r.repository = m.repository AND r.digest = m.digest)
        AND NOT EXISTS (
          SELECT 1 FROM registry_manifests AS s WHERE s.repository = m.repository AND s.digest = m.subject)
      ORDER BY repository, digest
      """, [.instant(past)]
    ).map { row in (RepositoryName(trusted: try row.string("repository")), try row.digest("digest")) }
  }
}
