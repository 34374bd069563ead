import Testing
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

struct CodecTests {
  @Test("what is written is read back as the same value", arguments: Samples.all)
  func roundTrip(sample: Sample) throws {
    let json = try JSON(parsing: sample.json.canonicalBytes)
    #expect(try sample.isReadAs(json))
  }

  @Test("members that are not known are ignored, at every level", arguments: Samples.all)
  func unknownMembers(sample: Sample) throws {
    // Maps with free keys would take the member for one of theirs.
    let maps: Set<String> = [
      "setenv", "environment", "limits", "sysctls",
      "labels", "platform", "steps", "dependencies", "components", "byStatus",
      "byComponentState",
    ]
    // Configuration is the component's own matter, all the way down.
    let opaque: Set<String> = ["defaults", "defaultConfiguration", "merge"]
    func extended(_ json: JSON, isMap: Bool) -> JSON {
      switch json {
      case .object(let members):
        var object: [String: JSON] = [:]
        for (key, value) in members {
          object[key] = opaque.contains(key) ? value : extended(value, isMap: maps.contains(key))
        }
        if !isMap { object["fromTheFuture"] = ["x": [1]] }
        return .object(object)
      case .array(let elements): return .array(elements.map { extended($0, isMap: false) })
      case .null, .bool, .integer, .number, .string: return json
      }
    }
    #expect(try sample.isReadAs(extended(sample.json, isMap: sample.description == "platform")))
  }

  /// Every value inside, by pointer.
  private func pointers(_ json: JSON, _ path: [String] = []) -> [[String]] {
    switch json {
    case .object(let members):
      [path] + members.keys.sorted().flatMap { key in pointers(members[key] ?? .null, path + [key]) }
    case .array(let elements):
      [path] + elements.indices.flatMap { pointers(elements[$0], path + [String($0)]) }
    case .null, .bool, .integer, .number, .string: [path]
    }
  }

  private func replacing(_ path: ArraySlice<String>, in json: JSON, by new: JSON?) -> JSON {
    guard let key = path.first else { return new ?? .null }
    switch json {
    case .object(var members):
      members[key] = path.count == 1 ? new : replacing(path.dropFirst(), in: members[key] ?? .null, by: new)
      return .object(members)
    case .array(var elements):
      guard let index = Int(key) else { return json }
      if path.count == 1, new == nil {
        elements.remove(at: index)
      } else {
        elements[index] = replacing(path.dropFirst(), in: elements[index], by: new)
      }
      return .array(elements)
    case .null, .bool, .integer, .number, .string: return json
    }
  }

  @Test(
    "any part that is missing or of another kind is refused with its place, or read; nothing traps",
    arguments: Samples.all)
  func wrongParts(sample: Sample) {
    let strangers: [JSON?] = [
      nil, .null, true, 0, -1, .integer(.max), .integer(.min), 1.5, "", "x", "../..", [], [1], ["x"], [:], ["x": 1],
      .string(String(repeating: "9", count: 400)),
    ]
    for path in pointers(sample.json) {
      for stranger in strangers {
        let changed = replacing(path[...], in: sample.json, by: stranger)
        do {
          _ = try sample.isReadAs(changed)
        } catch let error as JSONShapeError {
          #expect(!error.message.isEmpty)
          // The place is the changed value, something in it, or what holds it.
          let at = error.path.split(separator: "/").map(String.init)
          let common = zip(at, path).prefix { $0 == $1 }.count
          #expect(common >= min(at.count, path.count - 1) || at.isEmpty, "\(error) for a change at \(path)")
        } catch {
          Issue.record("\(error)")
        }
      }
    }
  }

  @Test("damaged bytes are refused or read; nothing traps", arguments: Samples.all)
  func damage(sample: Sample) {
    var random = SeededGenerator(seed: 1)
    let bytes = sample.json.canonicalBytes
    for _ in 0..<200 {
      guard let json = try? JSON(parsing: Damage.apply(to: bytes, using: &random)) else { continue }
      _ = try? sample.isReadAs(json)
    }
  }

  @Test(
    "a message of an unknown version is refused, and the sentence says so",
    arguments: [
      "plan", "report", "presence", "statement", "desired", "acknowledgement", "logs", "result",
      "provisioning request", "provisioning answer", "trust",
    ])
  func unknownVersion(name: String) throws {
    let sample = try #require(Samples.all.first { $0.description == name })
    var json = sample.json
    json["v"] = 2
    let error = try #require(throws: JSONShapeError.self) { try sample.isReadAs(json) }
    #expect(error.message.contains("version 2"))
    json["v"] = 1
    #expect(try sample.isReadAs(json))
  }

  @Test("a recipe of another format is refused")
  func recipeFormat() throws {
    var json = Samples.recipe.json
    json["recipeFormatVersion"] = "2031-01-01"
    let error = try #require(throws: JSONShapeError.self) { try Recipe(JSONCursor(json)) }
    #expect(error.description.contains("2031-01-01"))
  }

  @Test("sizes are bounded so that their sum cannot overflow")
  func sizes() {
    var json = PlannedLayer(digest: Samples.digest, size: 1, compression: .none, diffID: Samples.digest).json
    json["size"] = .integer(1 << 53)
    #expect(throws: Never.self) { try PlannedLayer(JSONCursor(json)) }
    json["size"] = .integer((1 << 53) + 1)
    #expect(throws: JSONShapeError.self) { try PlannedLayer(JSONCursor(json)) }
  }

  @Test("of a failure's log only the last lines are kept")
  func longLogs() throws {
    var failure = Samples.failure
    failure.log = (0..<1_000).map { "line \($0)" }
    let read = try Failure(JSONCursor(failure.json))
    #expect(read.log == (980..<1_000).map { "line \($0)" })
  }

  @Test("equal plans have one text, whatever order their maps are in")
  func canonicalPlan() throws {
    let text = Samples.plan.canonical
    #expect(try Plan(JSONCursor(JSON(parsing: text))).canonical == text)
    #expect(!text.contains("\n") && text.hasPrefix("{\"components\":[{"))
  }
}
