import Glibc
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOSSL
import ServiceLifecycle
import Synchronization
import UnixSignals
import WherryDatabase
import WherryModel
import WherryOCI

/// The whole service, wired: data directory, identity, broker, engine, two listeners.
package struct InventoryService: Sendable {
  /// What the people and programs that started the service want to know.
  package struct Started: Sendable {
    package var endpoints: Endpoints
    package var milliseconds: Int64
    package var authorityFile: String
    /// Begins what a signal begins; `run` returns when it is done.
    package var shutDown: @Sendable () async -> Void
  }

  let directory: DataDirectory
  let configuration: ServiceConfiguration
  let identity: Identity
  let endpoints: Endpoints
  let broker: BrokerProcess?
  let brokerConfiguration: BrokerConfiguration
  let engine: InventoryEngine
  let logger: Logger
  let began: Instant

  /// Takes the lock, sees that the ports are free and makes what is missing. Nothing runs yet.
  /// - Parameter keepToken: is given the admin token at the first start and never after. Only when it returns is there
  ///   such a token.
  package init(
    _ requested: ServiceConfiguration, logger: Logger, keepToken: (String) throws -> Void
  ) async throws {
    began = wallClock()
    directory = try DataDirectory(requested.dataDirectory)
    let files = IdentityFiles(directory)
    let user = geteuid() == 0 ? "root" : nil
    // What a killed service left behind still holds the broker's port.
    BrokerProcess.endOrphan(
      of: BrokerConfiguration(listen: requested.brokerListen, files: files, directory: directory.broker, user: user))
    configuration = try Self.withPorts(requested)
    brokerConfiguration = BrokerConfiguration(
      listen: configuration.brokerListen, files: files, directory: directory.broker, user: user)
    identity = try Identity.load(directory, names: Self.certificateNames(configuration))
    endpoints = Self.endpoints(configuration)
    self.logger = logger
    let note: @Sendable (String) -> Void = { logger.notice("\($0)") }
    broker =
      configuration.externalBroker == nil
      ? try BrokerProcess(executable: configuration.mosquitto, configuration: brokerConfiguration, note: note) : nil
    let environment = EngineEnvironment(
      authority: identity.authority, signingKey: identity.signingKey, trustRoot: identity.trustRoot,
      endpoints: endpoints, blobs: try ContentStore(root: directory.blobs),
      images: RegistryImages(
        insecureRegistries: configuration.insecureRegistries, settings: configuration.registries,
        defaultRegistry: configuration.defaultRegistry),
      now: wallClock,
      revoke: { [broker, brokerConfiguration] names in
        do {
          try brokerConfiguration.writeAccess(revoked: names)
          broker?.reload()
        } catch { note("\(error)") }
      }, note: note)
    let bus = try MQTTBus(broker: configuration.brokerAddress, files: files, note: note)
    let database = try InventoryDatabase(path: directory.database)
    if try !database.hasTokens() {
      let token = AdminToken.make()
      try keepToken(token)
      try AdminToken.commit(token, to: database, action: "token.create", actor: "wherry-inventory")
    }
    engine = try InventoryEngine(database: database, bus: bus, environment: environment)
  }

  /// A terminal that closes is a reason to end, too: otherwise the broker would be left behind. Whoever started the
  /// service so that it ignores that (nohup) means it.
  package static var endingSignals: [UnixSignal] {
    var hangup = sigaction()
    let isIgnored =
      sigaction(SIGHUP, nil, &hangup) == 0 && unsafeBitCast(hangup.__sigaction_handler, to: Int.self) == 1
    return [.sigterm, .sigint] + (isIgnored ? [] : [.sighup])
  }

  /// Runs until a signal (or cancellation) ends it; the broker is gone when this returns.
  package func run(
    signals: [UnixSignal] = InventoryService.endingSignals, onReady: @escaping @Sendable (Started) -> Void
  ) async throws {
    try brokerConfiguration.write(revoked: try await engine.revokedDevices())
    var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
    if let broker {
      try broker.start()
      services.append(.init(service: BrokerService(broker: broker)))
    }
    // Two listeners and the broker.
    let readiness = Readiness(parts: 3)
    services.append(.init(service: EngineService(engine: engine, brokerAddress: brokerAddress, readiness: readiness)))
    services.append(.init(service: try listeners(readiness)))
    let group = ServiceGroup(
      configuration: .init(services: services, gracefulShutdownSignals: signals, logger: quietLogger))
    let announcement = Task { [began, endpoints, directory] in
      await readiness.wait()
      guard !Task.isCancelled else { return }
      let milliseconds = wallClock().milliseconds(since: began)
      onReady(
        Started(
          endpoints: endpoints, milliseconds: milliseconds, authorityFile: directory.authority,
          shutDown: { await group.triggerGracefulShutdown() }))
    }
    defer { announcement.cancel() }
    try await group.run()
  }

  /// What the engine waits for before it connects; nobody knows when somebody else's broker comes.
  private var brokerAddress: ListenAddress? { broker == nil ? nil : configuration.brokerAddress }

  /// The frameworks' own words below warnings are for their developers.
  private var quietLogger: Logger {
    var logger = logger
    logger.logLevel = .warning
    return logger
  }

  // MARK: - Names and ports

  private static func withPorts(_ requested: ServiceConfiguration) throws(Refusal) -> ServiceConfiguration {
    var configuration = requested
    let ports = PortCheck()
    configuration.listen.port = try ports.claim(requested.listen, option: "--listen")
    configuration.deviceListen.port = try ports.claim(requested.deviceListen, option: "--device-listen")
    if requested.externalBroker == nil {
      configuration.brokerListen.port = try ports.claim(requested.brokerListen, option: "--broker-listen")
    }
    return configuration
  }

  private static func certificateNames(_ configuration: ServiceConfiguration) -> [String] {
    var names = configuration.publicHosts + ["localhost", "127.0.0.1", "::1"]
    for address in [configuration.listen, configuration.deviceListen, configuration.brokerListen]
    where !address.isWildcard {
      names.append(address.host)
    }
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }

  private static func endpoints(_ configuration: ServiceConfiguration) -> Endpoints {
    func url(_ address: ListenAddress) -> String {
      "https://\(ListenAddress(host: configuration.publicHost(of: address), port: address.port))"
    }
    return Endpoints(
      operatorURL: url(configuration.listen), deviceURL: url(configuration.deviceListen),
      brokerHost: configuration.externalBroker?.host ?? configuration.publicHost(of: configuration.brokerListen),
      brokerPort: configuration.externalBroker?.port ?? configuration.brokerListen.port,
      registryHosts: configuration.registryHosts, defaultRegistry: configuration.defaultRegistry)
  }

  // MARK: - Listeners

  private var blobRoutes: BlobRoutes {
    BlobRoutes(store: engine.environment.blobs) { [engine] digest in try await engine.planText(digest) }
  }

  private var note: @Sendable (String) -> Void {
    { [logger] in logger.notice("\($0)") }
  }

  private static var http: HTTPServerBuilder {
    .http1(configuration: .init(additionalChannelHandlers: [ContinueHandler()], idleTimeout: .seconds(300)))
  }

  /// One group of its own, so that the bound is theirs: a device that has lost its network in the middle of a download
  /// is cut, and the engine and the broker still end in order.
  private func listeners(_ readiness: Readiness) throws -> ServiceGroup {
    let services: [ServiceGroupConfiguration.ServiceConfiguration] = [
      .init(service: try operatorListener(readiness)), .init(service: try deviceListener(readiness)),
    ]
    var group = ServiceGroupConfiguration(services: services, logger: quietLogger)
    group.maximumGracefulShutdownDuration = configuration.shutdownMaximum
    return ServiceGroup(configuration: group)
  }

  private func operatorListener(_ readiness: Readiness) throws -> some Service {
    let router = try OperatorRoutes(engine: engine, blobs: blobRoutes, note: note).router()
    return Application(
      router: router, server: try .tls(Self.http, tlsConfiguration: try identity.serverTLS()),
      configuration: applicationConfiguration(configuration.listen),
      onServerRunning: { _ in readiness.done() }, logger: quietLogger)
  }

  private func deviceListener(_ readiness: Readiness) throws -> some Service {
    let router = DeviceRoutes(engine: engine, blobs: blobRoutes, note: note).router()
    return Application(
      router: router, server: try .tls(Self.http, tlsConfiguration: try identity.mutualTLS()),
      configuration: applicationConfiguration(configuration.deviceListen),
      onServerRunning: { _ in readiness.done() }, logger: quietLogger)
  }

  private func applicationConfiguration(_ address: ListenAddress) -> ApplicationConfiguration {
    ApplicationConfiguration(address: .hostname(address.host, port: address.port), serverName: "wherry-inventory")
  }
}

extension Identity {
  func serverTLS() throws -> TLSConfiguration {
    let chain = try NIOSSLCertificate.fromPEMBytes(Array(serverCertificatePEM.utf8))
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain.map { .certificate($0) },
      privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(serverKeyPEM.utf8), format: .pem)))
    configuration.minimumTLSVersion = .tlsv12
    // A peer that is gone does not answer the goodbye either.
    configuration.shutdownTimeout = .seconds(1)
    return configuration
  }

  /// As `serverTLS`, and no handshake ends without a certificate of the fleet's CA.
  func mutualTLS() throws -> TLSConfiguration {
    var configuration = try serverTLS()
    configuration.trustRoots = .certificates(
      try NIOSSLCertificate.fromPEMBytes(Array(authority.certificatePEM.utf8)))
    configuration.certificateVerification = .noHostnameVerification
    return configuration
  }
}

// MARK: - Services

/// Counts what must be there before the service calls itself ready.
final class Readiness: Sendable {
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  private let remaining: Mutex<Int>

  init(parts: Int) {
    (stream, continuation) = AsyncStream.makeStream()
    remaining = Mutex(parts)
  }

  func done() {
    let left = remaining.withLock { count in
      count -= 1
      return count
    }
    if left == 0 { continuation.finish() }
  }

  func wait() async {
    for await _ in stream {}
  }
}

struct BrokerService: Service {
  let broker: BrokerProcess

  func run() async throws {
    let keeper = Task { [broker] in
      while (try? await Task.sleep(for: .seconds(BrokerLog.periodSeconds))) != nil { broker.log.bound() }
    }
    try? await gracefulShutdown()
    keeper.cancel()
    try await OwnThread.run { [broker] in broker.stop() }
  }
}

struct EngineService: Service {
  /// mosquitto answers within 20 ms; it is asked every two.
  static let brokerWaitMilliseconds = 5_000

  let engine: InventoryEngine
  let brokerAddress: ListenAddress?
  let readiness: Readiness

  func run() async throws {
    if let brokerAddress {
      var waited = 0
      while !PortCheck.isAccepting(brokerAddress), waited < Self.brokerWaitMilliseconds {
        try? await Task.sleep(for: .milliseconds(2))
        waited += 2
      }
    }
    try await engine.start()
    let watch = Task { [engine, readiness] in
      // Subscribed before the first look: the connection may stand already.
      let changes = await engine.changes()
      if await !engine.isReady {
        for await _ in changes where await engine.isReady { break }
      }
      readiness.done()
    }
    try? await gracefulShutdown()
    watch.cancel()
    await engine.stop()
  }
}
