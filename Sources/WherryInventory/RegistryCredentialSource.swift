import Glibc
import Synchronization
import WherryModel
import WherryOCI
import WherryWire

/// The service's credentials of registries: from commands, else from a file in Docker's form. Both may change while the
/// service runs, so what they said is kept for a few minutes only, and not after a registry refused it.
final class RegistryCredentialSource: RegistryCredentials {
  private struct Kept {
    var credential: RegistryCredential?
    var at: ContinuousClock.Instant
  }

  private let settings: RegistrySettings
  private let lifetime: Duration
  private let kept = Mutex<[RegistryHost: Kept]>([:])

  /// Short-lived passwords live for a quarter of an hour at least.
  static let lifetime: Duration = .seconds(300)

  init(_ settings: RegistrySettings, lifetime: Duration = RegistryCredentialSource.lifetime) {
    self.settings = settings
    self.lifetime = lifetime
  }

  func credential(of registry: RegistryHost) throws(Failure) -> RegistryCredential? {
    let now = ContinuousClock.now
    if let known = kept.withLock({ $0[registry] }), known.at.duration(to: now) < lifetime { return known.credential }
    let credential = try ask(registry)
    kept.withLock { $0[registry] = Kept(credential: credential, at: now) }
    return credential
  }

  func refused(_ credential: RegistryCredential, by registry: RegistryHost) {
    kept.withLock { kept in
      if kept[registry]?.credential == credential { kept[registry] = nil }
    }
  }

  private func ask(_ registry: RegistryHost) throws(Failure) -> RegistryCredential? {
    if let command = settings.commands[registry] {
      return try command.credential(in: CredentialProgram.output(of: command, for: registry), of: registry)
    }
    guard let path = settings.authFile else { return nil }
    return try Self.file(path).credentials[registry]
  }

  /// Read and understood.
  static func file(_ path: String) throws(Failure) -> RegistryAuthFile {
    let loaded: [UInt8]?
    do throws(Refusal) { loaded = try SmallFile.load(path, maximumBytes: RegistryAuthFile.bytesMaximum) } catch {
      throw Failure(.download, code: "registry.credential", message: error.detail, remedy: error.remedy)
    }
    guard let bytes = loaded else {
      throw Failure(
        .download, code: "registry.credential", message: "the file of registry credentials \(path) is not there",
        remedy: "write it, or start the service without --registry-auth")
    }
    return try RegistryAuthFile(parsing: bytes, path: path)
  }
}
