package struct HTTPRequest: Sendable {
  package var method: String
  /// Absolute, `http` or `https`.
  package var url: String
  package var headers: [(String, String)]
  package var body: [UInt8]?
  /// Path of a file to send as the body; not together with `body`.
  package var bodyFile: String?

  package init(
    method: String = "GET", url: String, headers: [(String, String)] = [], body: [UInt8]? = nil,
    bodyFile: String? = nil
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.bodyFile = bodyFile
  }
}

package struct HTTPResponse: Sendable {
  package var status: Int
  /// Names in lower case; a repeated header's values are joined by ", ".
  package var headers: [String: String]
  package var body: [UInt8]
  /// Whether a redirect led to another origin, which then speaks for itself and not for the one that was asked.
  package var isFromElsewhere = false

  package init(status: Int, headers: [String: String] = [:], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  package var isSuccess: Bool { (200..<300).contains(status) }
}

package struct HTTPClientConfiguration: Sendable {
  /// Authorities to trust in place of the system's: a PEM file, or PEM text.
  package var caFile: String?
  package var caPEM: String?
  package var clientCertificatePEM: String?
  package var clientKeyPEM: String?
  package var connectTimeoutMilliseconds = 10_000
  /// A body that brings less than `stallBytesPerSecond` for so long is given up. Does not apply to `stream`.
  package var stallSeconds = 30
  package var stallBytesPerSecond = 16
  package var redirectsMaximum = 5
  /// `host[:port]` of servers to which a redirect from https may lead in the clear.
  package var insecureHosts: Set<String> = []
  package var userAgent = "wherry"
  package init() {}
}
