import Synchronization
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// Answers without a network, by URL and `Authorization` header, and keeps what was asked.
final class ScriptedHTTP: HTTPGetting {
  private(set) var requests: [(url: String, authorization: String?)] = []
  private let answer: (_ url: String, _ authorization: String?) -> HTTPAnswer

  init(_ answer: @escaping (_ url: String, _ authorization: String?) -> HTTPAnswer) { self.answer = answer }

  func get(_ url: String, headers: [(String, String)], bodyBytesMaximum: Int) throws(Failure) -> HTTPAnswer {
    let authorization = headers.first { $0.0.lowercased() == "authorization" }?.1
    requests.append((url, authorization))
    return answer(url, authorization)
  }
}

extension HTTPAnswer {
  static func challenge(_ text: String, status: Int = 401) -> HTTPAnswer {
    HTTPAnswer(status: status, headers: ["www-authenticate": text], body: [])
  }

  static func token(_ text: String) -> HTTPAnswer {
    HTTPAnswer(status: 200, headers: [:], body: Array("{\"token\":\"\(text)\"}".utf8))
  }
}

/// One small image under any name, as a registry serves it on loopback.
struct ServedImage {
  let manifest: [UInt8]
  let config: [UInt8]

  init(architecture: String = "amd64") {
    let image = TestImage(layers: [], architecture: architecture)
    (manifest, config) = (image.manifest.canonicalBytes, image.config.canonicalBytes)
  }

  var digest: Digest { SHA256.digest(of: manifest) }

  func response(to target: String) -> LoopbackServer.Response {
    if target.contains("/manifests/") {
      return LoopbackServer.Response(headers: [("Content-Type", MediaType.ociManifest)], body: manifest)
    }
    return target.hasSuffix(SHA256.digest(of: config).description)
      ? LoopbackServer.Response(body: config) : LoopbackServer.Response(404)
  }

  func answer(to url: String) -> HTTPAnswer {
    let isManifest = url.contains("/manifests/")
    return HTTPAnswer(
      status: 200, headers: isManifest ? ["content-type": MediaType.ociManifest] : [:],
      body: isManifest ? manifest : config)
  }
}

/// A credential that is replaced when it is refused, as one from a command is.
final class RotatingCredentials: RegistryCredentials {
  private let secrets: [String]
  private let next = Mutex(0)

  init(_ secrets: [String]) { self.secrets = secrets }

  func credential(of registry: RegistryHost) -> RegistryCredential? {
    RegistryCredential(user: "kiosk", secret: secrets[min(next.withLock { $0 }, secrets.count - 1)])
  }

  func refused(_ credential: RegistryCredential, by registry: RegistryHost) { next.withLock { $0 += 1 } }
}
