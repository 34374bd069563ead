import Testing
import WherryClient
import WherryModel
import WherryTestSupport

@Suite struct DeploymentFollowerTests {
  private struct Outcome {
    var states: [String] = []
    var pauses: [Int] = []
    var failure: ClientError?
  }

  private func follow(_ server: LoopbackServer) -> Outcome {
    var states: [String] = []
    var pauses: [Int] = []
    let follower = DeploymentFollower(
      client: InventoryClient(url: server.origin, token: "secret", authorityPEM: nil), pause: { pauses.append($0) })
    let failure = Script.failure {
      try follower.follow(DeploymentID(3)) { summary in
        states.append(summary.state)
        return true
      }
    }
    return Outcome(states: states, pauses: pauses, failure: failure)
  }

  private func follow(_ answers: [LoopbackServer.Response]) -> Outcome {
    let server = Script(answers).serve()
    defer { server.stop() }
    return follow(server)
  }

  @Test func aStreamThatIsCutIsTakenUpAgain() {
    let outcome = follow([
      Script.stream(Samples.event("rolling")), Script.brokenStream(""), Script.stream(Samples.event("rolling")),
      Script.brokenStream(Samples.event("rolling")), Script.stream(Samples.event("completed")),
    ])
    #expect(outcome.states == ["rolling", "rolling", "rolling", "completed"])
    // A sign of life starts the row again.
    #expect(outcome.pauses == [250, 500, 250, 250])
    #expect(outcome.failure == nil)
  }

  @Test func theEndIsTheDeploymentsAndNotTheStreams() {
    for state in ["completed", "halted", "cancelled", "superseded"] {
      let outcome = follow([Script.stream(Samples.event("rolling") + Samples.event(state))])
      #expect(outcome.states == ["rolling", state])
      #expect(outcome.failure == nil)
    }
  }

  @Test func aServiceThatDoesNotComeBackIsGivenUpWithTheReason() {
    let outcome = follow([Script.stream(Samples.event("rolling")), Script.brokenStream("")])
    #expect(outcome.pauses == DeploymentFollower.pausesMilliseconds)
    #expect(outcome.failure?.description.contains("could not be reached") == true)
  }

  @Test func aServiceThatWasNotThereIsNotWaitedFor() {
    let server = Script([]).serve()
    server.stop()
    let outcome = follow(server)
    #expect(outcome.pauses.isEmpty)
    #expect(outcome.failure?.isTransient == true)
  }

  @Test func aRefusalIsNotAskedForAgain() {
    let refusal = #"{"detail":"the token is not known","status":401,"title":"Unauthorized"}"#
    let outcome = follow([Script.stream(Samples.event("rolling")), Script.problem(401, refusal)])
    #expect(outcome.pauses == [250])
    #expect(outcome.failure?.description == "the token is not known")
  }
}
