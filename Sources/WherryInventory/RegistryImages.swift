import WherryModel
import WherryOCI
import WherryTransfer

/// Asks registries, each time on a thread of its own: libcurl's easy interface blocks.
struct RegistryImages: ImagePinning {
  let insecureRegistries: Set<String>

  func pin(_ reference: String, platform: Platform) async throws -> PlannedImage {
    try await OwnThread.run { [insecureRegistries] in
      let resolver = ImageResolver(http: RegistryHTTP(), insecureRegistries: insecureRegistries)
      return try resolver.resolve(reference, platform: platform)
    }
  }
}

private struct RegistryHTTP: HTTPGetting {
  private let client: HTTPClient

  init() {
    var configuration = HTTPClientConfiguration()
    configuration.userAgent = "wherry-inventory"
    client = HTTPClient(configuration: configuration)
  }

  func get(_ url: String, headers: [(String, String)], bodyBytesMaximum: Int) throws(Failure) -> HTTPAnswer {
    do {
      let response = try client.send(HTTPRequest(url: url, headers: headers), maximumBodyBytes: bodyBytesMaximum)
      return HTTPAnswer(status: response.status, headers: response.headers, body: response.body)
    } catch {
      throw error.failure
    }
  }
}
