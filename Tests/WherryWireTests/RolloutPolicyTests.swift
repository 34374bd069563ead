import Testing
import WherryJSON
import WherryModel
import WherryWire

@Suite struct RolloutPolicyTests {
  @Test func everythingThatCanBeSaidComesBack() throws {
    var policy = RolloutPolicy()
    policy.waves = [.count(1), .factor(3)]
    policy.failureShare = RolloutPolicy.FailureShare(percent: 5, sample: 20)
    policy.canary = ["ring": "canary"]
    #expect(try RolloutPolicy(JSONCursor(policy.json)) == policy)
    #expect(RolloutPolicy().json["failureShare"] == nil && RolloutPolicy().json["canary"] == nil)
  }

  @Test(arguments: [
    ("{\"waves\": [{\"factor\": 1}]}", "/waves/0/factor"),
    ("{\"failureShare\": {\"percent\": 101, \"sample\": 1}}", "/failureShare/percent"),
    ("{\"failureShare\": {\"percent\": 5, \"sample\": 0}}", "/failureShare/sample"),
    ("{\"canary\": {\"a\": 1}}", "/canary"),
  ]) func nonsenseIsRefusedWithItsPlace(text: String, place: String) throws {
    let json = try JSON(parsing: text)
    let error = #expect(throws: JSONShapeError.self) { try RolloutPolicy(JSONCursor(json)) }
    #expect(error?.path.hasPrefix(place) == true, "\(error.debugDescription)")
  }
}
