import Glibc
import Testing
import WherryMQTT
import WherryTestSupport
import WherryWire

private final class MosquittoLaboratory: TransportLaboratory {
  private let broker: TestBroker

  init(_ broker: TestBroker) { self.broker = broker }

  func makeTransport(_ options: ClientOptions) throws -> any Transport {
    var configuration = try broker.configuration(options.clientID)
    configuration.cleanStart = options.cleanStart
    configuration.sessionExpirySeconds = options.sessionExpirySeconds
    configuration.will = options.will.map { .init(topic: $0.topic, payload: $0.payload, retain: $0.isRetained) }
    return try MQTTTransport(configuration: configuration)
  }

  func interrupt() throws {
    broker.kill()
    broker.start()
  }

  func pullPlug(_ transport: any Transport, _ options: ClientOptions) throws {
    shutdown(transport.pollDescriptor, Int32(SHUT_RDWR))
  }
}

@Suite struct TransportContractTests {
  @Test("libmosquitto with a real mosquitto keeps the transport's contract", arguments: TransportContract.Case.allCases)
  func contract(contractCase: TransportContract.Case) throws {
    guard let broker = try TestBroker() else { return }
    try TransportContract(MosquittoLaboratory(broker)).check(contractCase)
  }
}
