import ArgumentParser
import Glibc
import Logging
import WherryInventory

@main
struct InventoryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wherry-inventory", abstract: "The inventory service of a Wherry fleet.",
    discussion: "Example: wherry-inventory serve --data /var/lib/wherry-inventory",
    version: "wherry-inventory 0.1.0",
    subcommands: [Serve.self, BrokerCertificate.self, ResetAdminToken.self])
}

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the service; everything that it needs is made at first start.",
    discussion: """
      Examples:
        wherry-inventory serve --data /var/lib/wherry-inventory
        wherry-inventory serve --data /var/lib/wherry-inventory --public-host fleet.example.com \\
          --listen 0.0.0.0:8443 --device-listen 0.0.0.0:8444 --broker-listen 0.0.0.0:8883
        wherry-inventory serve --data /var/lib/wherry-inventory --broker mqtts://broker.example.com:8883

      Without the three --listen options only this machine can connect. A broker of your own needs a certificate of the
      fleet: see broker-certificate. SIGTERM, SIGINT and SIGHUP end the service.
      """)

  @Option(help: "Directory of the database, blobs, keys and broker state.")
  var data: String

  @Option(help: ArgumentHelp("Where operators connect.", valueName: "host:port"))
  var listen = "127.0.0.1:8443"

  @Option(help: ArgumentHelp("Where devices fetch blobs.", valueName: "host:port"))
  var deviceListen = "127.0.0.1:8444"

  @Option(help: ArgumentHelp("Where the embedded broker listens.", valueName: "host:port"))
  var brokerListen = "127.0.0.1:8883"

  @Option(help: ArgumentHelp("Use this broker instead of an embedded one.", valueName: "mqtts://host:port"))
  var broker: String?

  @Option(
    help: ArgumentHelp("A name or address that devices reach this machine by; may be repeated.", valueName: "name"))
  var publicHost: [String] = []

  @Option(help: ArgumentHelp("A registry that may be asked over plain HTTP; may be repeated.", valueName: "host:port"))
  var insecureRegistry: [String] = []

  @Option(
    help: ArgumentHelp(
      "Credentials of registries, as Docker writes them; read again while the service runs.", valueName: "file"))
  var registryAuth: String?

  @Option(
    help: ArgumentHelp(
      "A command that prints a registry's password, or its credential as Docker's helpers do; may be repeated.",
      valueName: "[user@]host=command"))
  var registryCredential: [String] = []

  @Option(
    help: ArgumentHelp(
      "Ask this mirror first for a registry's images; may be repeated.", valueName: "host=mirror[/prefix]"))
  var registryMirror: [String] = []

  @Option(
    help: ArgumentHelp(
      "A registry's credential may also be shown to this token server; may be repeated.", valueName: "host=name"))
  var registryTokenServer: [String] = []

  @Option(help: ArgumentHelp("The registry of images that name none.", valueName: "host"))
  var defaultRegistry: String?

  @Option(help: ArgumentHelp("Write the admin token here when it is made, instead of printing it.", valueName: "file"))
  var adminTokenFile: String?

  @Option(help: "The mosquitto program.")
  var mosquitto = "mosquitto"

  func run() async throws {
    try await reportingRefusals {
      let service = try await InventoryService(try configuration(), logger: makeLogger()) { token in
        if let adminTokenFile {
          try AdminTokenFile.write(token, to: adminTokenFile)
        } else {
          say("admin token: \(token)")
        }
      }
      try await service.run { started in
        let endpoints = started.endpoints
        say(
          "wherry-inventory ready in \(started.milliseconds) ms: operators \(endpoints.operatorURL), devices "
            + "\(endpoints.deviceURL), broker mqtts://\(endpoints.brokerHost):\(endpoints.brokerPort)")
      }
    }
  }

  private func configuration() throws -> ServiceConfiguration {
    var configuration = ServiceConfiguration(dataDirectory: data)
    configuration.listen = try address(listen, "--listen")
    configuration.deviceListen = try address(deviceListen, "--device-listen")
    configuration.brokerListen = try address(brokerListen, "--broker-listen")
    if let broker {
      guard let external = ExternalBroker(broker) else {
        throw ValidationError("--broker \(broker) is no broker's address: write mqtts://HOST:PORT.")
      }
      configuration.externalBroker = external
    }
    configuration.publicHosts = publicHost
    configuration.insecureRegistries = Set(insecureRegistry)
    try setRegistries(&configuration)
    configuration.mosquitto = mosquitto
    return configuration
  }

  private func setRegistries(_ configuration: inout ServiceConfiguration) throws {
    func set(_ option: String, _ texts: [String], _ body: (String) throws -> Void) throws {
      for text in texts {
        do { try body(text) } catch { throw ValidationError("\(option) \(text): \(error)") }
      }
    }
    try set("--registry-auth", registryAuth.map { [$0] } ?? []) { try configuration.setRegistryAuth($0) }
    try set("--registry-credential", registryCredential) { try configuration.addRegistryCredential($0) }
    try set("--registry-mirror", registryMirror) { try configuration.addRegistryMirror($0) }
    try set("--registry-token-server", registryTokenServer) { try configuration.addRegistryTokenServer($0) }
    try set("--default-registry", defaultRegistry.map { [$0] } ?? []) { try configuration.setDefaultRegistry($0) }
  }

  private func address(_ text: String, _ option: String) throws -> ListenAddress {
    guard let address = ListenAddress(text) else {
      throw ValidationError("\(option) \(text) is no address: write HOST:PORT, for example 127.0.0.1:8443.")
    }
    return address
  }
}

struct ResetAdminToken: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a new admin token; the old one stops working. The service must be stopped.",
    discussion: "Example: wherry-inventory reset-admin-token --data /var/lib/wherry-inventory")

  @Option(help: "The service's data directory.")
  var data: String

  func run() async throws {
    try await reportingRefusals {
      say("admin token: \(try InventoryMaintenance.resetAdminToken(dataDirectory: data))")
    }
  }
}

/// Standard output is for what was asked for, written at once: others wait for these lines.
func say(_ line: String, to descriptor: Int32 = 1) {
  let bytes = Array((line + "\n").utf8)
  _ = write(descriptor, bytes, bytes.count)
}

private func makeLogger() -> Logger {
  Logger(label: "wherry-inventory") { StreamLogHandler.standardError(label: $0) }
}

/// What stops the service is one sentence on standard error, not a crash. Wrong options stay ArgumentParser's.
func reportingRefusals(_ body: () async throws -> Void) async throws {
  do {
    try await body()
  } catch let error as ValidationError {
    throw error
  } catch {
    say("wherry-inventory: \(error)", to: 2)
    throw ExitCode(1)
  }
}
