import ArgumentParser
import Glibc
import WherryClient
import WherryJSON
import WherryModel
import WherryOCI
import WherryWire

/// An image, and the registry that it is in.
struct ImagePlace {
  let reference: ImageReference
  let server: RegistryServer

  /// What the person typed, in full.
  var text: String { reference.description }

  /// Waits as `poll` does, since nothing else of this thread goes on meanwhile.
  var client: RegistryClient {
    RegistryClient(server) { milliseconds in _ = poll(nil, 0, Int32(milliseconds)) }
  }

  /// - Parameter isOurs: where no host is named, the service's own registry is meant; otherwise Docker Hub is, as in
  ///   recipes.
  static func find(_ text: String, isOurs: Bool, insecure: [String] = []) throws -> ImagePlace {
    let standard = isOurs ? ImageReference.serviceRegistry : ImageReference.defaultRegistry
    let reference: ImageReference
    do throws(Failure) { reference = try ImageReference(parsing: text, defaultRegistry: standard) } catch {
      throw ValidationError("\(error)")
    }
    if reference.isOfService { return ImagePlace(reference: reference, server: Self.own(try Session.load())) }
    if let session = try? Session.load(), session.base == "https://\(reference.registry)" {
      let own = ImageReference(
        registry: ImageReference.serviceRegistry, repository: reference.repository, tag: reference.tag,
        digest: reference.digest)
      return ImagePlace(reference: own, server: Self.own(session))
    }
    guard let host = RegistryHost(reference.registry) else {
      throw ValidationError("\"\(reference.registry)\" is no host of a registry")
    }
    let isInsecure = insecure.contains { RegistryHost($0) == host }
    let known = try RegistryLogins.credential(of: host).map { [host: $0] } ?? [:]
    let access = RegistryAccess(credentials: KnownCredentials(known))
    return ImagePlace(
      reference: reference,
      server: RegistryServer(
        base: (isInsecure ? "http://" : "https://") + host.address, permission: .access(access)))
  }

  static func own(_ session: Session) -> RegistryServer {
    RegistryServer(base: session.base, authorityPEM: session.authorityPEM, permission: .token(session.token))
  }
}

extension Session {
  /// Scheme and authority of the service.
  fileprivate var base: String { url.hasSuffix("/") ? String(url.dropLast()) : url }
}

/// Where `docker login`, `podman login` and `skopeo login` keep what they were given.
enum RegistryLogins {
  private static let bytesMaximum = 1 << 20

  private static var paths: [String] {
    var paths: [String] = []
    if let file = Files.environment("REGISTRY_AUTH_FILE") { return [file] }
    if let folder = Files.environment("XDG_RUNTIME_DIR") { paths.append(folder + "/containers/auth.json") }
    if let folder = Files.environment("DOCKER_CONFIG") { paths.append(folder + "/config.json") }
    if let home = Files.environment("HOME") {
      paths += [home + "/.config/containers/auth.json", home + "/.docker/config.json"]
    }
    return paths
  }

  /// nil where nobody logged in. Entries of credential helpers hold nothing themselves and are passed over.
  static func credential(of host: RegistryHost) throws -> RegistryCredential? {
    for path in paths where Files.isFile(path) {
      let bytes = try Files.read(path, bytesMaximum: bytesMaximum)
      let entries = (try? JSON(parsing: bytes))?["auths"]?.objectValue ?? [:]
      for (name, entry) in entries.sorted(by: { $0.key < $1.key }) where RegistryHost(name) == host {
        if let credential = credential(in: entry) { return credential }
      }
    }
    return nil
  }

  /// `{"auth": "dXNlcjpwYXNzd29yZA=="}`
  private static func credential(in entry: JSON) -> RegistryCredential? {
    guard let text = entry["auth"]?.stringValue, let bytes = Base64.decode(text),
      let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
    else { return nil }
    return RegistryCredential(
      user: String(decoding: bytes[..<colon], as: UTF8.self),
      secret: String(decoding: bytes[(colon + 1)...], as: UTF8.self))
  }
}
