import WherryModel

/// Why a transfer did not succeed, in words for people and with a stable code for programs.
package struct TransferError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Code: String, Hashable, Sendable {
    /// No address, nobody listening, no route.
    case unreachable = "download.unreachable"
    /// The server's certificate is not one that we trust, or it refused ours.
    case untrusted = "download.untrusted"
    /// Connected, but bytes stopped coming.
    case stalled = "download.stalled"
    /// The connection ended before the body did.
    case truncated = "download.truncated"
    /// More bytes than were declared or allowed.
    case tooLarge = "download.tooLarge"
    /// The server answered, but with a status that is not success.
    case status = "download.status"
    /// The registry or its token server does not take the credentials that are configured for it.
    case unauthorized = "image.unauthorized"
    /// The server answered that it cannot now: too many requests, or trouble of its own.
    case unavailable = "download.unavailable"
    /// An answer that HTTP does not allow here: a redirect loop, a range that was not asked for.
    case invalidResponse = "download.invalidResponse"
    case digestMismatch = "blob.digestMismatch"
    case spaceFull = "space.full"
    /// A local file could not be read or written.
    case localFile = "download.localFile"
    /// The caller's own request cannot be sent.
    case invalidRequest = "download.invalidRequest"
  }

  package let code: Code
  /// One sentence: what and where.
  package let message: String
  /// One sentence: how to mend it.
  package let remedy: String
  /// Set with the codes `status` and `unavailable`.
  package let status: Int?

  package init(_ code: Code, _ message: String, remedy: String = "", status: Int? = nil) {
    self.code = code
    self.message = message
    self.remedy = remedy
    self.status = status
  }

  package var description: String { remedy.isEmpty ? message : "\(message); \(remedy)" }

  /// Trying again later, without anybody changing anything, may help.
  package var isTransient: Bool { Failure.transientCodes.contains(code.rawValue) }

  package var failure: Failure {
    let failureClass: FailureClass =
      switch code {
      case .digestMismatch: .verify
      case .spaceFull: .space
      case .unreachable, .untrusted, .stalled, .truncated, .tooLarge, .status, .unauthorized, .unavailable,
        .invalidResponse:
        .download
      case .localFile, .invalidRequest: .internalError
      }
    return Failure(failureClass, code: code.rawValue, message: message, remedy: remedy)
  }

  /// The sentence for a status that is not success, with the remedy that fits it.
  package static func unexpected(status: Int, url: String) -> TransferError {
    let (meaning, remedy): (String, String) =
      switch status {
      case 401: ("the server wants credentials", "allow anonymous reading there or configure credentials")
      case 403: ("the server refuses access", "check that the device or token is allowed to read it")
      case 404: ("it does not exist there", "check the name, and that it has been published and not removed")
      case 408, 425: ("the server asks to try again", "wait; it is tried again by itself")
      case 429: ("the server asks to slow down", "wait; it is tried again by itself")
      case 500...: ("the server has a problem of its own", "look at the server's log; it is tried again by itself")
      default: ("that is not success", "check the address")
      }
    let isPassing = status == 408 || status == 425 || status == 429 || status >= 500
    return TransferError(
      isPassing ? .unavailable : .status, "\(url) answered with status \(status): \(meaning)", remedy: remedy,
      status: status)
  }
}
