import Testing
import WherryJSON
import WherryModel
import WherryWire

@Suite struct RolloutPolicyTests {
  @Test func everythingThatCanBeSaidComesBack() throws {
    var policy = RolloutPolicy()
    policy.waves = [.count(1), .factor(3)]
    policy.failureShare = RolloutPolicy.FailureShare(percent: 5, sample: 20)
    policy.causeBudgets = [
      RolloutPolicy.CauseBudget(causes: [.download, .silent], maximum: 9),
      RolloutPolicy.CauseBudget(causes: [.health], share: RolloutPolicy.FailureShare(percent: 1, sample: 50)),
    ]
    policy.canary = ["ring": "canary"]
    policy.disruption = [
      RolloutPolicy.DisruptionBudget(label: "store", changingMaximum: 1),
      RolloutPolicy.DisruptionBudget(label: "rack", upMinimum: 2),
    ]
    policy.bytesPerSecond = 10_000_000
    policy.silenceSeconds = 600
    #expect(try RolloutPolicy(JSONCursor(policy.json)) == policy)
    for key in ["failureShare", "canary", "causeBudgets", "disruption", "bytesPerSecond", "silenceSeconds"] {
      #expect(RolloutPolicy().json[key] == nil && policy.json[key] != nil)
    }
  }

  @Test(arguments: [
    ("{\"waves\": [{\"factor\": 1}]}", "/waves/0/factor"),
    ("{\"failureShare\": {\"percent\": 101, \"sample\": 1}}", "/failureShare/percent"),
    ("{\"failureShare\": {\"percent\": 5, \"sample\": 0}}", "/failureShare/sample"),
    ("{\"canary\": {\"a\": 1}}", "/canary"),
    ("{\"causeBudgets\": [{\"causes\": []}]}", "/causeBudgets/0/causes"),
    ("{\"causeBudgets\": [{\"causes\": [\"weather\"]}]}", "/causeBudgets/0/causes/0"),
    (
      "{\"causeBudgets\": [{\"causes\": [\"health\"]}, {\"causes\": [\"start\", \"health\"]}]}",
      "/causeBudgets/1/causes"
    ),
    ("{\"disruption\": [{\"label\": \"store\"}]}", "/disruption/0"),
    ("{\"disruption\": [{\"label\": \"\", \"upMinimum\": 1}]}", "/disruption/0/label"),
    (
      "{\"disruption\": [{\"label\": \"a\", \"upMinimum\": 1}, {\"label\": \"a\", \"upMinimum\": 1}]}",
      "/disruption"
    ),
    ("{\"bytesPerSecond\": -1}", "/bytesPerSecond"),
  ]) func nonsenseIsRefusedWithItsPlace(text: String, place: String) throws {
    let json = try JSON(parsing: text)
    let error = #expect(throws: JSONShapeError.self) { try RolloutPolicy(JSONCursor(json)) }
    #expect(error?.path.hasPrefix(place) == true, "\(error.debugDescription)")
  }

  @Test func eachFailureHasOneCause() {
    for failureClass in FailureClass.allCases {
      #expect(FailureCause(Failure(failureClass, code: "x", message: "")).rawValue == failureClass.rawValue)
    }
    #expect(FailureCause(Failure(.timeout, code: FailureCause.silentCode, message: "")) == .silent)
    #expect(FailureCause(nil) == .internalError)
  }
}
