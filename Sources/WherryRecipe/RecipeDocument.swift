import Yams

/// From text to the root node, with everything refused that could make reading expensive.
enum RecipeDocument {
  static func root(
    of text: String, fileName: String, beginning: String = "begin with `RecipeFormatVersion: \"2020-01-25\"`",
    problems: ProblemCollector
  ) -> RecipeNode? {
    func refuse(_ line: Int, _ column: Int, _ message: String, _ remedy: String) -> RecipeNode? {
      problems.add(
        RecipeProblem(severity: .error, line: line, column: column, path: "", message: message, remedy: remedy))
      return nil
    }
    guard text.utf8.count <= RecipeReader.bytesMaximum else {
      return refuse(
        1, 1, "\(fileName) has \(text.utf8.count) bytes, more than \(RecipeReader.bytesMaximum)",
        "put data into an artifact")
    }
    if let line = AliasGuard.suspiciousLine(in: text) {
      return refuse(
        line, 1, "\(fileName) repeats anchored parts by too many aliases", "write the repeated parts out")
    }
    do {
      guard let node = try Parser(yaml: JSONEscapes.joiningSurrogates(in: text)).singleRoot() else {
        return refuse(1, 1, "\(fileName) is empty", beginning)
      }
      let root = RecipeNode(node: node, path: "", problems: problems)
      return root.isWithinLimits() ? root : nil
    } catch let error as YamlError {
      let (line, column, message, remedy) = explanation(of: error)
      // The library places what is missing at the end on the line after it.
      let (lastLine, lastColumn) = place(of: text.utf8.count, in: text)
      return line > lastLine
        ? refuse(lastLine, lastColumn, message, remedy) : refuse(line, column, message, remedy)
    } catch {
      return refuse(1, 1, "\(fileName) cannot be read: \(error)", "check its YAML")
    }
  }

  private static func explanation(of error: YamlError) -> (Int, Int, String, String) {
    switch error {
    case .reader(let problem, let offset, _, let yaml):
      let (line, column) = place(of: offset ?? 0, in: yaml)
      return (line, column, "a character that YAML does not allow (\(problem))", "remove it")
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let doing = context.map { $0.text + ", " } ?? ""
      return (mark.line, mark.column, "not valid YAML: \(doing)\(problem)", remedy(for: problem))
    case .duplicatedKeysInMapping(let duplicates, let context):
      let names = duplicates.map { "\"\($0)\"" }.joined(separator: ", ")
      return (context.mark.line, context.mark.column, "the key \(names) is given twice", "keep one of them")
    default:
      return (1, 1, "not valid YAML: \(error)", "check the file in a YAML editor")
    }
  }

  private static func remedy(for problem: String) -> String {
    if problem.contains("\\t") || problem.contains("cannot start any token") {
      return "indent with blanks, not tabs, and put text that starts with a special character into quotes"
    }
    if problem.contains("mapping values are not allowed") {
      return "put text that holds a colon and a blank into quotes"
    }
    if problem.contains("another document") { return "keep one recipe per file" }
    if problem.contains("undefined alias") { return "put text that starts with `*` into quotes" }
    return "check indentation and quotes there"
  }

  private static func place(of offset: Int, in text: String) -> (line: Int, column: Int) {
    let before = text.utf8.prefix(offset)
    let line = before.reduce(1) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) }
    let column = before.reversed().prefix { $0 != UInt8(ascii: "\n") }.count + 1
    return (line, column)
  }
}

/// Aliases let a few lines stand for billions of nodes ("billion laughs"), and a collection as a key makes the YAML
/// library itself walk them. Greengrass does not read aliases at all, so only a handful in a small file pass.
enum AliasGuard {
  private static let usesMaximum = 16
  private static let bytesMaximum = 64 << 10

  /// The line of the alias that is one too many. Only names count that are anchored and aliased: a shell script's
  /// `2>&1` and `*.log` are neither.
  static func suspiciousLine(in text: String) -> Int? {
    var anchors: Set<[UInt8]> = []
    var aliases: [(name: [UInt8], line: Int)] = []
    var line = 1
    var previous = UInt8(ascii: "\n")
    let bytes = Array(text.utf8)
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: "\n") { line += 1 }
      if (byte == UInt8(ascii: "&") || byte == UInt8(ascii: "*")) && " \t\n\r[{,:-?".utf8.contains(previous) {
        let name = Array(bytes[(index + 1)...].prefix(while: isNameByte))
        if !name.isEmpty {
          if byte == UInt8(ascii: "&") { anchors.insert(name) } else { aliases.append((name, line)) }
        }
      }
      previous = byte
      index += 1
    }
    let used = aliases.filter { anchors.contains($0.name) }
    if bytes.count > bytesMaximum { return used.first?.line }
    return used.count > usesMaximum ? used[usesMaximum].line : nil
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"), UInt8(ascii: "-"):
      return true
    default: return false
    }
  }
}

/// JSON writes characters beyond U+FFFF as two `\u` escapes; YAML has `\U` and refuses the halves.
enum JSONEscapes {
  static func joiningSurrogates(in text: String) -> String {
    guard text.first(where: { !$0.isWhitespace }) == "{" else { return text }
    let bytes = Array(text.utf8)
    guard bytes.contains(UInt8(ascii: "\\")) else { return text }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      guard bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count else {
        result.append(bytes[index])
        index += 1
        continue
      }
      if let high = unit(bytes, at: index), (0xD800..<0xDC00).contains(high), let low = unit(bytes, at: index + 6),
        (0xDC00..<0xE000).contains(low), let scalar = Unicode.Scalar(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
      {
        result.append(contentsOf: String(Character(scalar)).utf8)
        index += 12
      } else {
        // The escaped character goes along, so that `\\u` is never taken for an escape.
        result.append(contentsOf: bytes[index...(index + 1)])
        index += 2
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static func unit(_ bytes: [UInt8], at index: Int) -> UInt32? {
    guard index + 6 <= bytes.count, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u") else {
      return nil
    }
    return UInt32(String(decoding: bytes[(index + 2)..<(index + 6)], as: UTF8.self), radix: 16)
  }
}
