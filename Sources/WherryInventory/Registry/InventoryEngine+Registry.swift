import HTTPTypes
import WherryDatabase
import WherryJSON
import WherryModel
import WherryOCI

/// The registry's state. Each method reads, decides and writes without an `await` between, so what it checked still
/// holds when it writes; blobs leave the store only here.
extension InventoryEngine {
  /// A push asks whether its blobs are there and sends its manifest last: what it was told of is kept for this long
  /// and longer, see `RegistryGarbage.graceSeconds`.
  static let blobLinkRenewalSeconds = 3_600
  /// In one answer: the first say enough.
  private static let missingMaximum = 20

  // MARK: - Reading

  func registryRepositories(after last: String, limit: Int) throws -> [RepositoryName] {
    try database.repositories(after: last, limit: limit)
  }

  /// nil when there is no such repository.
  func registryTags(of repository: RepositoryName, after last: String, limit: Int) throws -> [TagName]? {
    guard try database.hasRepository(repository) else { return nil }
    return try database.tags(of: repository, after: last, limit: limit)
  }

  func registryManifest(
    _ reference: RegistryReference, in repository: RepositoryName
  ) throws -> RegistryManifestRecord? {
    switch reference {
    case .tag(let tag): try database.manifest(tagged: tag, in: repository)
    case .digest(let digest): try database.manifest(digest, in: repository)
    }
  }

  func registryReferrers(
    of subject: Digest, in repository: RepositoryName, artifactType: String?, after last: Digest?, bytesMaximum: Int
  ) throws -> (page: [RegistryReferrer], isWhole: Bool) {
    try database.referrers(
      of: subject, in: repository, artifactType: artifactType, after: last, bytesMaximum: bytesMaximum)
  }

  /// - Parameter isReserving: the answer is a reason not to send the blob, so garbage collection leaves it alone.
  func hasRegistryBlob(_ digest: Digest, in repository: RepositoryName, isReserving: Bool) throws -> Bool {
    guard try database.isBlobLinked(digest, to: repository), environment.blobs.contains(digest) else { return false }
    if isReserving {
      let now = environment.now()
      try database.renewBlobLink(
        digest, in: repository, olderThan: now.advanced(bySeconds: -Self.blobLinkRenewalSeconds), at: now)
    }
    return true
  }

  // MARK: - Pushing

  /// Shows a blob of the store in a repository, which is made if it is not there.
  func linkRegistryBlob(_ digest: Digest, to repository: RepositoryName) throws {
    guard environment.blobs.contains(digest) else { throw RegistryError.noBlob(digest, in: repository.rawValue) }
    let now = environment.now()
    try database.transaction {
      try database.createRepository(repository, at: now)
      try database.linkBlob(digest, to: repository, at: now)
    }
  }

  /// - Parameter source: nil = any repository that shows it.
  /// - Returns: false, and nothing changed, when it is not there.
  func mountRegistryBlob(_ digest: Digest, from source: RepositoryName?, to repository: RepositoryName) throws -> Bool {
    let isShown =
      if let source { try database.isBlobLinked(digest, to: source) } else { try database.isBlobLinkedAnywhere(digest) }
    guard isShown, environment.blobs.contains(digest) else { return false }
    try linkRegistryBlob(digest, to: repository)
    return true
  }

  /// The manifest's bytes are in the store already. What it refers to must be in the repository, in the size that it
  /// says.
  func putRegistryManifest(
    _ manifest: RegistryManifest, in repository: RepositoryName, tags: [TagName], by actor: String
  ) throws {
    try checkReferences(of: manifest, in: repository)
    guard environment.blobs.contains(manifest.digest) else {
      throw RegistryError.noBlob(manifest.digest, in: repository.rawValue)
    }
    let now = environment.now()
    try database.transaction {
      try database.createRepository(repository, at: now)
      try database.putManifest(
        manifest.record, annotations: manifest.subject == nil ? .object([:]) : manifest.annotations,
        references: Set(manifest.references.map(\.digest)), in: repository, at: now)
      for tag in tags { try database.setTag(tag, to: manifest.digest, in: repository, at: now) }
      try database.audit(
        "image.push", subject: repository.rawValue, actor: actor,
        detail: (["\(manifest.digest)"] + tags.map(\.rawValue)).joined(separator: " "), at: now)
    }
  }

  private func checkReferences(of manifest: RegistryManifest, in repository: RepositoryName) throws {
    var missing: [RegistryError.Entry] = []
    for reference in manifest.references.sorted(by: { $0.digest < $1.digest }) {
      guard let size = try registrySize(of: reference.digest, in: repository) else {
        missing.append(
          RegistryError.Entry(
            code: .manifestBlobUnknown,
            message: "the manifest needs \(reference.digest), which is not in the repository \(repository); "
              + "push that first", detail: .string("\(reference.digest)")))
        if missing.count == Self.missingMaximum { break }
        continue
      }
      guard size == reference.size else {
        throw RegistryError(
          .badRequest, .sizeInvalid,
          "the manifest says that \(reference.digest) has \(reference.size) bytes, and it has \(size)",
          remedy: "correct the manifest", detail: .string("\(reference.digest)"))
      }
    }
    guard missing.isEmpty else { throw RegistryError(.notFound, missing) }
  }

  /// Of a manifest or a blob; nil when the repository has neither.
  private func registrySize(of digest: Digest, in repository: RepositoryName) throws -> Int64? {
    if let manifest = try database.manifest(digest, in: repository) { return manifest.size }
    guard try database.isBlobLinked(digest, to: repository) else { return nil }
    return environment.blobs.size(of: digest)
  }

  // MARK: - Deleting

  func deleteRegistryTag(_ tag: TagName, in repository: RepositoryName, by actor: String) throws {
    let now = environment.now()
    let wasThere = try database.transaction {
      let wasThere = try database.removeTag(tag, in: repository)
      if wasThere {
        try database.audit("image.untag", subject: repository.rawValue, actor: actor, detail: tag.rawValue, at: now)
      }
      return wasThere
    }
    guard wasThere else { throw RegistryError.noManifest(.tag(tag), in: repository.rawValue) }
  }

  /// Refused while an index needs it: what is referred to is there, whenever somebody pulls.
  func deleteRegistryManifest(_ digest: Digest, in repository: RepositoryName, by actor: String) throws {
    try checkUnneeded(digest, "manifest", in: repository)
    let now = environment.now()
    let wasThere = try database.transaction {
      let wasThere = try database.removeManifest(digest, in: repository)
      if wasThere {
        try database.audit("image.delete", subject: repository.rawValue, actor: actor, detail: "\(digest)", at: now)
      }
      return wasThere
    }
    guard wasThere else { throw RegistryError.noManifest(.digest(digest), in: repository.rawValue) }
  }

  /// Takes it out of the repository. The store keeps it until garbage collection finds that nobody needs it.
  func deleteRegistryBlob(_ digest: Digest, in repository: RepositoryName, by actor: String) throws {
    try checkUnneeded(digest, "blob", in: repository)
    let now = environment.now()
    let wasThere = try database.transaction {
      let wasThere = try database.unlinkBlob(digest, from: repository)
      if wasThere {
        try database.audit("blob.delete", subject: repository.rawValue, actor: actor, detail: "\(digest)", at: now)
      }
      return wasThere
    }
    guard wasThere else { throw RegistryError.noBlob(digest, in: repository.rawValue) }
  }

  private func checkUnneeded(_ digest: Digest, _ what: String, in repository: RepositoryName) throws {
    guard let holder = try database.manifest(needing: digest, in: repository) else { return }
    throw RegistryError(
      .methodNotAllowed, .denied, "the manifest \(holder) of the repository \(repository) needs the \(what) \(digest)",
      remedy: "delete that manifest first", detail: .string("\(holder)"))
  }
}
