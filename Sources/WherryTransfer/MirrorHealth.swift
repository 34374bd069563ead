/// Which mirrors gave no answer in this run: each of a hundred layers would wait for the same timeout.
final class MirrorHealth {
  private var gone: Set<Origin> = []

  func isGone(_ url: String) -> Bool { Origin(url: url).map { gone.contains($0) } ?? true }

  func note(_ error: TransferError, at url: String) {
    switch error.code {
    case .unreachable, .untrusted, .stalled:
      if let origin = Origin(url: url) { gone.insert(origin) }
    case .truncated, .tooLarge, .status, .unavailable, .invalidResponse, .digestMismatch, .spaceFull, .localFile,
      .invalidRequest, .unauthorized:
      break
    }
  }
}
