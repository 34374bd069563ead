import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryAgent

/// One agent per agent ID, since what it has in the kernel is named by it. And who downloads for it.
@Suite struct AgentLockTests {
  private let directory = TemporaryDirectory()

  private func lock(_ agentID: String) throws -> RunLock { try RunLock(agentID: agentID, place: directory.path) }

  @Test func aSecondAgentOfTheSameIDIsRefusedWhateverItsDirectories() throws {
    let first = try lock("edge1")
    let failure = try #require(throws: Failure.self) { _ = try lock("edge1") }
    #expect(failure.code == "agent.running")
    #expect(failure.message == "an agent with the agent_id \"edge1\" runs already on this machine")
    #expect(failure.remedy.contains("its own agent_id"))
    try lock("edge2").release()
    first.release()
    try lock("edge1").remove()
    #expect(!TestFile.exists(directory.file("wherry-agent-edge1.lock")))
    try lock("edge1").release()
  }

  @Test func aSecondAgentInTheSameRunDirectoryIsRefused() throws {
    let paths = AgentPaths(root: directory.file("lib"), run: directory.path, logs: directory.file("log"))
    let first = try RunLock(of: paths)
    let failure = try #require(throws: Failure.self) { _ = try RunLock(of: paths) }
    #expect(failure.code == "agent.running" && failure.message.contains(directory.path))
    first.release()
  }

  @Test func aTeardownLeavesTheWorkloadsOfARunningAgentAlone() throws {
    guard getuid() == 0 else {
      print("SKIPPED the teardown beside a running agent: only root may lock an agent ID")
      return
    }
    let agentID = "l\(getpid() % 100_000)"
    let lines = [
      "root = \(directory.file("lib"))", "run = \(directory.file("run"))", "logs = \(directory.file("log"))",
      "agent_id = \(agentID)",
    ]
    TestFile.write(Array(lines.joined(separator: "\n").utf8), to: directory.file("agent.conf"))
    let running = try RunLock(agentID: agentID)
    defer { running.remove() }
    let words = ["wherry-agent", "teardown", "--config", directory.file("agent.conf")]
    #expect(AgentProgram.run(words) == 1)
    #expect(!TestFile.exists(directory.file("run/\(agentID)")), "it was not even begun")
  }

  @Test func whoDownloadsIsAUserOfItsOwnWhereThereIsOne() throws {
    let passwd = directory.file("passwd")
    let group = directory.file("group")
    let both = "nobody:x:65534:65534::/:/bin/sh\nwherry-fetch:x:990:991::/:/bin/sh\n"
    TestFile.write([], to: group)
    TestFile.write(Array(both.utf8), to: passwd)
    #expect(try UserAccount.fetching(nil, passwd: passwd, groupFile: group).user == 990)
    #expect(try UserAccount.fetching("nobody", passwd: passwd, groupFile: group).user == 65_534)
    TestFile.write(Array(both.utf8.prefix { $0 != 10 }) + [10], to: passwd)
    #expect(try UserAccount.fetching(nil, passwd: passwd, groupFile: group).user == 65_534)
    #expect(throws: Failure.self) { try UserAccount.fetching("nemo", passwd: passwd, groupFile: group) }
  }
}
