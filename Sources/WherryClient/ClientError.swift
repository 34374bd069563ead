import WherryWire

/// Why a request to the inventory service did not succeed, in words for the person who asked.
package enum ClientError: Error, CustomStringConvertible {
  /// The service could not be reached at all. `mayHeal`: without anybody changing anything.
  case unreachable(url: String, reason: String, mayHeal: Bool)
  /// The service refused, and said why (RFC 9457).
  case refused(Problem)
  /// The answer is not one that this version understands.
  case malformed(what: String, reason: String)
  /// A stream ended before what it tells of did: the service was stopped, or something between has cut it.
  case interrupted(what: String)
  /// What was asked for failed while it was under way; the sentences of whoever it failed at.
  case failed(String)
  /// What a registry did not do, in its words where it had some. `mayHeal`: without anybody changing anything.
  case registry(String, mayHeal: Bool)
  /// One event of a stream is larger than what is read of it.
  case tooLarge(what: String, bytesMaximum: Int)

  package var description: String {
    switch self {
    case .unreachable(let url, let reason, _):
      "the inventory service at \(url) could not be reached: \(reason)"
    case .refused(let problem):
      ([problem.detail.isEmpty ? problem.title : problem.detail] + problem.errors).joined(separator: "\n  ")
        + (problem.remedy.isEmpty ? "" : "\n" + problem.remedy)
    case .malformed(let what, let reason):
      "the service's answer to \(what) could not be read: \(reason); "
        + "the CLI and the service may be of different versions"
    case .interrupted(let what):
      "the service ended the stream of \(what) before its end; it may be restarting"
    case .failed(let sentences), .registry(let sentences, _): sentences
    case .tooLarge(let what, let bytesMaximum):
      "one event of \(what) has more than \(bytesMaximum >> 20) MiB, which is all that is read; "
        + "look at smaller parts of the fleet, or ask for the state instead of following it"
    }
  }

  /// The same request may succeed a little later.
  package var isTransient: Bool {
    switch self {
    case .unreachable(_, _, let mayHeal), .registry(_, let mayHeal): mayHeal
    case .interrupted: true
    case .refused, .malformed, .failed, .tooLarge: false
    }
  }
}
