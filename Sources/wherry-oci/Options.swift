/// The words of a command line: `--name value`, `--name=value`, `-n value`, flags, and the rest.
struct Options {
  struct Misuse: Error, CustomStringConvertible {
    let description: String
  }

  private var values: [String: [String]] = [:]
  private var flags: Set<String> = []
  /// What is no option, in order.
  private(set) var words: [String] = []

  /// - Parameters:
  ///   - taking: options that take a value; the first name counts, others are short for it.
  ///   - stopsAtWord: what follows the first word is not looked at.
  init(
    _ arguments: some Sequence<String>, taking: [[String]], flags known: [[String]], stopsAtWord: Bool = false
  ) throws(Misuse) {
    func canonical(_ name: String, _ list: [[String]]) -> String? { list.first { $0.contains(name) }?.first }
    var rest = Array(arguments)[...]
    while let word = rest.popFirst() {
      if word == "--" {
        words += rest
        return
      }
      guard word.hasPrefix("-"), word != "-" else {
        words.append(word)
        if stopsAtWord {
          words += rest
          return
        }
        continue
      }
      let equals = word.firstIndex(of: "=")
      let name = equals.map { String(word[..<$0]) } ?? word
      if let option = canonical(name, taking) {
        guard let value = equals.map({ String(word[word.index(after: $0)...]) }) ?? rest.popFirst() else {
          throw Misuse(description: "\(name) needs a value")
        }
        values[option, default: []].append(value)
      } else if let option = canonical(name, known) {
        // `--flag=false` is how Go's programs say no.
        if equals.map({ word[word.index(after: $0)...] == "false" }) != true { flags.insert(option) }
      } else {
        throw Misuse(description: "the option \(name) is not known")
      }
    }
  }

  subscript(name: String) -> String? { values[name]?.last }
  func all(_ name: String) -> [String] { values[name] ?? [] }
  func has(_ flag: String) -> Bool { flags.contains(flag) }
}
