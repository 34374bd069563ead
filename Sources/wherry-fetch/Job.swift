import Glibc
import WherryJSON
import WherryModel

/// Reading jobs, and the few shapes that all modes share.
enum Job {
  private static let bytesMaximum = 16 << 20

  /// All of standard input.
  static func read() throws(Failure) -> JSONCursor {
    guard let bytes = bytes(of: STDIN_FILENO, maximum: bytesMaximum) else {
      throw malformed("it is longer than \(bytesMaximum) bytes or cannot be read")
    }
    do throws(JSONError) {
      return JSONCursor(try JSON(parsing: bytes, limits: JSONLimits(bytesMaximum: bytesMaximum, depthMaximum: 16)))
    } catch { throw malformed(error.description) }
  }

  /// Everything up to the end; nil on an error or when it is more than `maximum`.
  static func bytes(of descriptor: Int32, maximum: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0, bytes.count + count <= maximum else { return nil }
      if count == 0 { return bytes }
      bytes.append(contentsOf: buffer[..<count])
    }
  }

  static func malformed(_ reason: String) -> Failure {
    Failure(
      .internalError, code: "worker.job", message: "wherry-fetch cannot use its job: \(reason)",
      remedy: "agent and worker may be of different versions; install them together")
  }

  /// Decodes, and says of a job of the wrong shape where it is wrong.
  static func decode<T>(_ body: () throws(JSONShapeError) -> T) throws(Failure) -> T {
    do throws(JSONShapeError) { return try body() } catch { throw malformed(error.description) }
  }

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
