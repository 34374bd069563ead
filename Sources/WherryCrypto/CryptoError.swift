import COpenSSL

/// What could not be done, with the cause that OpenSSL gives.
package struct CryptoError: Error, Hashable, Sendable, CustomStringConvertible {
  package let message: String

  package init(_ message: String) { self.message = message }

  /// Takes the newest entry of this thread's error queue as the cause and empties the queue.
  init(openSSL operation: String) {
    let code = ERR_peek_last_error()
    ERR_clear_error()
    guard code != 0, let reason = ERR_reason_error_string(code) else {
      message = operation
      return
    }
    message = "\(operation): \(String(cString: reason))"
  }

  package var description: String { message }
}
