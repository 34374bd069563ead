import Synchronization
import WherryModel
import WherryOCI
import WherryTransfer
import WherryWire

/// Asks registries, each time on a thread of its own: libcurl's easy interface blocks.
struct RegistryImages: ImagePinning {
  let insecureRegistries: Set<String>
  private let defaultRegistry: String
  private let access: RegistryAccess
  private let known = KnownAnswers()

  init(
    insecureRegistries: Set<String>, settings: RegistrySettings = RegistrySettings(),
    defaultRegistry: String = ImageReference.defaultRegistry
  ) {
    self.insecureRegistries = insecureRegistries
    self.defaultRegistry = defaultRegistry
    access = RegistryAccess(
      credentials: RegistryCredentialSource(settings), mirrors: settings.mirrors, tokenServers: settings.tokenServers)
  }

  func pin(_ reference: String, platform: Platform) async throws -> PlannedImage {
    try await OwnThread.run { [insecureRegistries, defaultRegistry, access, known] in
      let resolver = ImageResolver(
        http: RegistryHTTP(known: known, insecureHosts: insecureRegistries), insecureRegistries: insecureRegistries,
        defaultRegistry: defaultRegistry, access: access)
      return try resolver.resolve(reference, platform: platform)
    }
  }
}

/// Manifests and configurations that were asked for by digest: these never change, so only a tag is asked for again.
private final class KnownAnswers: Sendable {
  private static let countMaximum = 256
  private static let bytesMaximum = 64 * 1_024
  private let answers = Mutex<[String: HTTPAnswer]>([:])

  subscript(url: String) -> HTTPAnswer? { answers.withLock { $0[url] } }

  func remember(_ answer: HTTPAnswer, of url: String) {
    guard url.contains("/sha256:"), answer.status == 200, answer.body.count <= Self.bytesMaximum else { return }
    answers.withLock { answers in
      if answers.count >= Self.countMaximum { answers.removeAll() }
      answers[url] = answer
    }
  }
}

private struct RegistryHTTP: HTTPGetting {
  private let client: HTTPClient
  private let known: KnownAnswers

  init(known: KnownAnswers, insecureHosts: Set<String>) {
    var configuration = HTTPClientConfiguration()
    configuration.userAgent = "wherry-inventory"
    configuration.insecureHosts = insecureHosts
    client = HTTPClient(configuration: configuration)
    self.known = known
  }

  func get(_ url: String, headers: [(String, String)], bodyBytesMaximum: Int) throws(Failure) -> HTTPAnswer {
    if let answer = known[url] { return answer }
    do {
      let response = try client.send(HTTPRequest(url: url, headers: headers), maximumBodyBytes: bodyBytesMaximum)
      let answer = HTTPAnswer(
        status: response.status, headers: response.headers, body: response.body,
        isFromElsewhere: response.isFromElsewhere)
      known.remember(answer, of: url)
      return answer
    } catch {
      throw error.failure
    }
  }
}
