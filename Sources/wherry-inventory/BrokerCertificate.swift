import ArgumentParser
import WherryInventory

struct BrokerCertificate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make what a broker of your own needs for `serve --broker`, and print its mosquitto.conf.",
    discussion: """
      Example:
        wherry-inventory broker-certificate --data /var/lib/wherry-inventory --name broker.example.com \\
          --out /etc/mosquitto/wherry > /etc/mosquitto/conf.d/wherry.conf

      The directory gets the fleet's CA certificate, a server certificate of that CA with its key, the access rules and
      the same mosquitto.conf. The service may run meanwhile, or never have run. Run it again to renew the certificate.
      """)

  @Option(help: "The service's data directory.")
  var data: String

  @Option(help: "A DNS name or address that devices and the service dial the broker by; may be repeated.")
  var name: [String] = []

  @Option(help: "Where the broker listens.")
  var port = 8883

  @Option(help: "The directory for the files; made when it is missing.")
  var out = "wherry-broker"

  func validate() throws {
    guard !name.isEmpty else { throw ValidationError("give the broker's name with --name HOST.") }
    guard (1...65_535).contains(port) else { throw ValidationError("--port \(port) is no port: use 1 to 65535.") }
  }

  func run() async throws {
    try await reportingRefusals {
      let kit = try BrokerKit.make(dataDirectory: data, names: name, port: port, output: out)
      say(String(kit.configuration.dropLast()))
      say("the broker's files are in \(kit.directory)", to: 2)
    }
  }
}
