import WherryModel

extension ClockOffsets {
  /// As /proc/PID/timens_offsets wants them: seconds, and nanoseconds that are never negative.
  var lines: String {
    [("monotonic", monotonic), ("boottime", boot)].map { name, milliseconds in
      let seconds = milliseconds >= 0 ? milliseconds / 1000 : -((999 - milliseconds) / 1000)
      return "\(name) \(seconds) \((milliseconds - seconds * 1000) * 1_000_000)\n"
    }.joined()
  }
}
