import Glibc
import WherryJSON
import WherryModel

/// The one job of a short-lived worker, on its standard input.
package struct WorkerJob {
  private static let bytesMaximum = 16 << 20

  package let program: String
  private let depthMaximum: Int

  package init(of program: String, depthMaximum: Int) {
    self.program = program
    self.depthMaximum = depthMaximum
  }

  package func read() throws(Failure) -> JSONCursor {
    guard let bytes = Descriptor.bytes(of: STDIN_FILENO, maximum: Self.bytesMaximum) else {
      throw malformed("it is longer than \(Self.bytesMaximum) bytes or cannot be read")
    }
    let limits = JSONLimits(bytesMaximum: Self.bytesMaximum, depthMaximum: depthMaximum)
    do throws(JSONError) { return JSONCursor(try JSON(parsing: bytes, limits: limits)) } catch {
      throw malformed(error.description)
    }
  }

  package func malformed(_ reason: String) -> Failure {
    Failure(
      .internalError, code: "worker.job", message: "\(program) cannot use its job: \(reason)",
      remedy: "agent and worker may be of different versions; install them together")
  }

  /// Decodes, and says of a job of the wrong shape where it is wrong.
  package func decode<T>(_ body: () throws(JSONShapeError) -> T) throws(Failure) -> T {
    do throws(JSONShapeError) { return try body() } catch { throw malformed(error.description) }
  }
}
