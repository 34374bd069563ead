import ArgumentParser

struct Login: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Remember a service and a token.",
    discussion: "Example: wherry login https://127.0.0.1:8443 --ca data/ca.crt --token-file admin.token")

  @Argument(help: "The service's URL.") var url: String
  @Option(help: "The fleet's CA certificate (PEM), DIR/ca.crt on the service.") var ca: String?
  @Option(help: "File that holds the token; - reads standard input.") var tokenFile: String = "-"

  func run() throws {
    guard url.hasPrefix("https://") else {
      throw ValidationError("\"\(url)\" must begin with https://, for example https://127.0.0.1:8443")
    }
    let token = try Files.text(tokenFile).split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
    guard !token.isEmpty else {
      throw UserError("\(tokenFile) holds no token; the service printed it at its first start")
    }
    let session = Session(url: url, token: token, authorityPEM: try ca.map(Files.text))
    let fleet = try session.client.fleet()
    try session.save()
    Console.line("Logged in to \(url): \(fleet.devices) devices, \(fleet.online) online.")
  }
}
