import Glibc
import Testing
import WherryModel

@testable import WherryIsolation

/// One network per test, each with its own bridge, subnet and ports, all gone at the end.
final class NetworkFixture {
  let network: AgentNetwork
  let agentID: String
  let settings: NetworkSettings
  let directory: String

  init(_ agentID: String, _ settings: NetworkSettings) throws {
    self.agentID = agentID
    self.settings = settings
    directory = "/tmp/wherry-network-test-\(agentID)"
    network = try AgentNetwork(agentID: agentID, stateDirectory: directory, settings)
    // A run that was killed may have left its own.
    network.tearDown()
  }

  convenience init(_ agentID: String, subnet: String, publishAddress: String? = nil) throws {
    try self.init(agentID, NetworkSettings(subnet: subnet, publishAddress: publishAddress))
  }

  deinit {
    network.tearDown()
    rmdir(directory)
  }

  /// The agent after a crash: the same state, nothing in memory.
  func restarted() throws -> AgentNetwork {
    try AgentNetwork(agentID: agentID, stateDirectory: directory, settings)
  }

  var bridgeExists: Bool { if_nametoindex("wh-" + agentID) != 0 }
}

func inside<T>(_ lease: NetworkLease, _ body: () throws -> T) throws -> T {
  let descriptor = open(try #require(lease.namespacePath), O_RDONLY | O_CLOEXEC)
  defer { close(descriptor) }
  return try NetworkNamespace.inside(descriptor, body)
}

/// Whether what is sent to address and port arrives at the listener, and the answer back.
func answers(_ listener: TestSocket, at address: String, _ port: UInt16) -> Bool {
  guard let client = TestSocket.connected(address, port), let server = listener.accepted() else { return false }
  server.send("hello")
  return client.receive() == "hello"
}
