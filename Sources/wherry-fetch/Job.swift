import WherryJSON
import WherryModel
import WherrySystem

/// The few shapes that all modes' jobs share.
enum Job {
  static let worker = WorkerJob(of: "wherry-fetch", depthMaximum: 16)

  /// An amount that is not negative; nil when nothing is said.
  static func bytes(_ cursor: JSONCursor, _ key: String) throws(JSONShapeError) -> Int64? {
    guard let value = try cursor.optional(key) else { return nil }
    let bytes = try value.integer()
    guard bytes >= 0 else { throw value.fail("an amount of bytes cannot be negative") }
    return bytes
  }

  static func digest(_ cursor: JSONCursor) throws(JSONShapeError) -> Digest {
    guard let digest = Digest(try cursor.string()) else { throw cursor.fail("expected sha256: and 64 digits") }
    return digest
  }

  /// As `WherryWire` has it.
  static func json(of failure: Failure) -> JSON {
    var json: JSON = [
      "class": .string(failure.failureClass.rawValue), "code": .string(failure.code),
      "message": .string(failure.message),
    ]
    if !failure.remedy.isEmpty { json["remedy"] = .string(failure.remedy) }
    return json
  }
}
