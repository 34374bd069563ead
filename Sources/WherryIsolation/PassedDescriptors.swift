import CIsolation
import Glibc

/// Descriptors that come over a socket (unix(7), SCM_RIGHTS).
package enum PassedDescriptors {
  package static let maximum = Int(WHERRY_PASSED_MAXIMUM)

  /// As recv(2), which does not wait. What came is the caller's to close.
  package static func receive(_ socket: Int32, into buffer: inout [UInt8]) -> (count: Int, descriptors: [Int32]) {
    var descriptors = [Int32](repeating: -1, count: maximum)
    var passed: UInt32 = 0
    let count = wherry_receive_with(socket, &buffer, buffer.count, &descriptors, &passed)
    return (count, Array(descriptors.prefix(Int(passed))))
  }
}
