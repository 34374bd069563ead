import WherryModel

/// One command's flags, taken off its words as Docker takes them: `--name x`, `--name=x`, `-p 80:80`, `-p80:80`, `-it`.
struct DockerFlags {
  /// What a command knows. Names without dashes; a short one has one letter.
  struct Known {
    /// Short to long.
    var shorts: [Character: String] = [:]
    var switches: Set<String> = []
    var values: Set<String> = []
    /// Taken and of no effect here.
    var ignored: Set<String> = []
    /// Refused, each with what to do instead.
    var refused: [String: String] = [:]
    /// Words after the first that is no flag are not looked at: a container's own.
    var endsAtFirstWord = false
  }

  let command: String
  private(set) var words: [String] = []
  private var given: [(name: String, value: String)] = []

  init(_ arguments: [String], of command: String, _ known: Known) throws(DockerMisuse) {
    self.command = command
    var rest = arguments[...]
    while let word = rest.popFirst() {
      if word == "--" {
        words += rest
        return
      }
      guard word.hasPrefix("-"), word != "-" else {
        words.append(word)
        if known.endsAtFirstWord {
          words += rest
          return
        }
        continue
      }
      if word.hasPrefix("--") { try long(word.dropFirst(2), &rest, known) } else { try short(word, &rest, known) }
    }
  }

  private mutating func long(
    _ word: Substring, _ rest: inout ArraySlice<String>, _ known: Known
  ) throws(DockerMisuse) {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let name = parts[0]
    if known.switches.contains(name) {
      let text = parts.count == 2 ? parts[1] : "true"
      guard ["true", "false", "1", "0"].contains(text) else {
        throw DockerMisuse("docker \(command): --\(name) is true or false, not \"\(text.prefix(40))\"")
      }
      given.append((name, text))
    } else if known.values.contains(name) {
      given.append((name, try parts.count == 2 ? parts[1] : value(of: "--" + name, &rest)))
    } else {
      throw unknown("--" + name, name, known)
    }
  }

  private mutating func short(
    _ word: String, _ rest: inout ArraySlice<String>, _ known: Known
  ) throws(DockerMisuse) {
    var letters = word.dropFirst()
    while let letter = letters.popFirst() {
      let name = known.shorts[letter] ?? String(letter)
      if known.switches.contains(name) {
        given.append((name, "true"))
      } else if known.values.contains(name) {
        let text = letters.first == "=" ? letters.dropFirst() : letters
        given.append((name, try text.isEmpty ? value(of: "-\(letter)", &rest) : String(text)))
        return
      } else {
        throw unknown("-\(letter)", name, known)
      }
    }
  }

  private func value(of flag: String, _ rest: inout ArraySlice<String>) throws(DockerMisuse) -> String {
    guard let value = rest.popFirst() else { throw DockerMisuse("docker \(command): \(flag) needs a value") }
    return value
  }

  private func unknown(_ flag: String, _ name: String, _ known: Known) -> DockerMisuse {
    if let remedy = known.refused[name] {
      return DockerMisuse("docker \(command): \(flag) is not carried out here; \(remedy)")
    }
    let near = Spelling.nearest(to: name, among: known.switches.union(known.values).sorted())
    let remedy = near.map { "did you mean --\($0)?" } ?? "`docker \(command) --help` names the flags that there are"
    return DockerMisuse("docker \(command): the flag \(flag.prefix(60)) is not known here; \(remedy)")
  }

  // MARK: What was given

  func has(_ name: String) -> Bool { given.last { $0.name == name }.map { ["true", "1"].contains($0.value) } ?? false }
  func all(_ name: String) -> [String] { given.filter { $0.name == name }.map(\.value) }
  func last(_ name: String) -> String? { given.last { $0.name == name }?.value }

  func integer(_ name: String, _ range: ClosedRange<Int>) throws(DockerMisuse) -> Int? {
    guard let text = last(name) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw DockerMisuse(
        "docker \(command): --\(name) takes a number from \(range.lowerBound) to \(range.upperBound), not "
          + "\"\(text.prefix(40))\"")
    }
    return number
  }

  /// Exactly so many words that are no flags.
  func words(_ range: ClosedRange<Int>, _ usage: String) throws(DockerMisuse) -> [String] {
    guard range.contains(words.count) else { throw DockerMisuse("usage: docker \(command) \(usage)") }
    return words
  }
}
