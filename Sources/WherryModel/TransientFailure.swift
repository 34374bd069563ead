extension Failure {
  /// Codes of transfers that got no answer, or the answer "not now". They are about the network and the moment, not
  /// about the content, so the same try may succeed later without anybody changing anything. Downloaders repeat these,
  /// and so does the device's machine; both look here.
  package static let transientCodes: Set<String> = [
    "download.unreachable", "download.stalled", "download.truncated", "download.unavailable",
  ]

  package var isTransient: Bool { Self.transientCodes.contains(code) }
}
