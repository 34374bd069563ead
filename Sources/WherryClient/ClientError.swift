import WherryWire

/// Why a request to the inventory service did not succeed, in words for the person who asked.
package enum ClientError: Error, CustomStringConvertible {
  /// The service could not be reached at all.
  case unreachable(url: String, reason: String)
  /// The service refused, and said why (RFC 9457).
  case refused(Problem)
  /// The answer is not one that this version understands.
  case malformed(what: String, reason: String)

  package var description: String {
    switch self {
    case .unreachable(let url, let reason):
      "the inventory service at \(url) could not be reached: \(reason)"
    case .refused(let problem):
      ([problem.detail.isEmpty ? problem.title : problem.detail] + problem.errors).joined(separator: "\n  ")
        + (problem.remedy.isEmpty ? "" : "\n" + problem.remedy)
    case .malformed(let what, let reason):
      "the service's answer to \(what) could not be read: \(reason); the CLI and the service may be of different versions"
    }
  }
}
