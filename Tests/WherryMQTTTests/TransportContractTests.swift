import Glibc
import Testing
import WherryMQTT
import WherryTestSupport
import WherryWire

/// The shared cases on a real mosquitto.
private final class MosquittoLaboratory: TransportLaboratory {
  private let broker: TestBroker

  init(_ broker: TestBroker) { self.broker = broker }

  func makeTransport(_ options: ClientOptions) throws -> any Transport {
    var configuration = try broker.configuration(options.clientID)
    configuration.cleanStart = options.cleanStart
    configuration.sessionExpirySeconds = options.sessionExpirySeconds
    configuration.will = options.will.map {
      .init(topic: $0.topic, payload: $0.payload, qos: 1, retain: $0.isRetained)
    }
    return try MQTTTransport(configuration: configuration)
  }

  func interrupt() {
    broker.kill()
    broker.start()
  }

  func pullPlug(_ transport: any Transport, _ options: ClientOptions) {
    shutdown(transport.pollDescriptor, Int32(SHUT_RDWR))
  }
}

@Suite struct TransportContractTests {
  @Test(arguments: TransportContract.Case.allCases)
  func `the transport over mosquitto keeps the contract`(contractCase: TransportContract.Case) throws {
    guard let broker = try TestBroker() else { return }
    try TransportContract(MosquittoLaboratory(broker)).check(contractCase)
  }
}
