import WherryClient
import WherryJSON

/// How far the transfer of an image is: one line that is drawn anew on a terminal, a line for each blob in a pipe,
/// nothing where programs read.
final class ImageProgress {
  private let format: OutputFormat
  private var drawn = ""
  private var finished = 0
  private var count = 0

  init(format: OutputFormat) { self.format = format }

  private static let barWidth = 24

  func show(_ event: RegistryTransfer.Event) {
    guard format == .table else { return }
    switch event {
    case .progress(let done, let total):
      if Console.isTerminal { draw(done, total) }
    case .blob(let blob, let outcome, let number, let count):
      (finished, self.count) = (number, count)
      guard !Console.isTerminal else { return }
      Console.line("\(blob.digest.short) \(Console.bytes(blob.size)) \(Self.word(outcome)) (\(number) of \(count))")
    }
  }

  /// What follows stands on a line of its own.
  func end() {
    guard !drawn.isEmpty else { return }
    Console.write("\r\u{1B}[K")
    drawn = ""
  }

  private func draw(_ done: Int64, _ total: Int64) {
    let share = total == 0 ? 1 : Double(done) / Double(total)
    let filled = max(0, min(Self.barWidth, Int(share * Double(Self.barWidth))))
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: Self.barWidth - filled)
    var line = "[\(bar)] \(Int(share * 100))%  \(Console.bytes(done)) of \(Console.bytes(total))"
    if count > 0 { line += "  \(finished) of \(count) blobs" }
    line = String(line.prefix(max(1, Console.width - 1)))
    guard line != drawn else { return }
    drawn = line
    Console.write("\r\u{1B}[K" + line)
  }

  private static func word(_ outcome: RegistryTransfer.Outcome) -> String {
    switch outcome {
    case .present: "is there already"
    case .mounted: "taken from the other repository"
    case .pushed: "pushed"
    }
  }
}

extension RegistryTransfer.Summary {
  /// - Parameter reference: what it is called now.
  func json(_ reference: String) -> JSON {
    [
      "reference": .string(reference), "digest": .string("\(digest)"), "blobs": .integer(Int64(blobs)),
      "bytes": .integer(bytes), "bytesPushed": .integer(bytesPushed),
    ]
  }

  func text(_ verb: String, _ reference: String) -> String {
    "\(verb) \(reference) (\(digest.short)): \(Console.bytes(bytes)), of which "
      + "\(Console.bytes(bytesPushed)) were sent\n"
  }
}
