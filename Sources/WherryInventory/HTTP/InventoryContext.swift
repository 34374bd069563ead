import Hummingbird
import NIOCore
import NIOSSL
import WherryCrypto
import WherryDatabase
import WherryModel

/// What a request carries through the operators' router.
struct OperatorContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// Set by `OperatorAuthentication`.
  var actor: OperatorToken?

  init(source: Source) { coreContext = .init(source: source) }

  /// For the audit.
  var actorName: String { actor?.name ?? "" }
}

/// What a request carries through the devices' router.
struct DeviceContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  /// Set by `DeviceAuthentication`.
  var device: DeviceName?

  init(source: Source) {
    coreContext = .init(source: source)
    channel = source.channel
  }

  /// The common name of the certificate that the TLS layer has verified against the fleet's CA.
  func certificateName() async throws -> DeviceName? {
    guard let certificate = try await channel.nioSSL_peerCertificate().get(),
      let name = Certificate.commonName(der: try certificate.toDERBytes())
    else { return nil }
    return try? DeviceName(validating: name)
  }
}
