import Testing

/// Taste as a test: what review would otherwise have to say each time.
@Suite struct TidyTests {
  static let swift = SourceTree(under: ["Sources", "Tests"], endings: [".swift"])
  static let native = SourceTree(under: ["Sources"], endings: [".c", ".h"])

  /// What runs on a device all day, and its short-lived workers.
  static let devicePath = [
    "WherryJSON", "WherryModel", "WherryPlanning", "WherryLifecycle", "WherryWire", "WherryCrypto", "WherrySQLite",
    "WherryMQTT", "WherryIsolation", "WherryAgent", "WherryOCI", "WherryTransfer", "WherryDocker", "WherrySystem",
    "wherry-agent", "wherry-fetch", "wherry-recipe", "wherry-docker",
  ]
  static let core = [
    "WherryJSON", "WherryModel", "WherryRecipe", "WherryPlanning", "WherryLifecycle", "WherryRollout", "WherryWire",
    "WherryDocker", "WherrySimulation",
  ]

  @Test func filesAreReadableInOneSitting() {
    for file in Self.swift.files + Self.native.files where file.lines.count > 400 {
      Issue.record("\(file.path) has \(file.lines.count) lines; 400 is the limit, so find the noun inside it")
    }
  }

  @Test func linesFitTheScreen() {
    for file in Self.swift.files + Self.native.files {
      for (number, line) in file.lines.enumerated() where line.utf8.count > 120 {
        guard line.count > 120, !line.contains("http") else { continue }
        Issue.record("\(file.path):\(number + 1) has \(line.count) characters; 120 is the limit")
      }
    }
  }

  /// A function runs from its first line to the closing brace at the same indentation, however many lines its
  /// signature takes.
  @Test func functionsAreShort() {
    for file in Self.swift.files + Self.native.files {
      let isSwift = file.path.hasSuffix(".swift")
      var open: (line: Int, indentation: Int, name: Substring)?
      for (number, line) in file.lines.enumerated() {
        let indentation = line.utf8.prefix(while: { $0 == 32 }).count
        let text = line.dropFirst(indentation)
        if let started = open, indentation == started.indentation, text.hasPrefix("}") {
          let length = number - started.line + 1
          if length > 70 {
            Issue.record("\(file.path):\(started.line + 1) `\(started.name)` has \(length) lines; 70 is the limit")
          }
          open = nil
        }
        if isSwift ? Self.beginsFunction(text) : Self.beginsCFunction(line) {
          open = (number, indentation, text.prefix(60))
        }
      }
    }
  }

  /// Whether a declaration begins here that has a body; modifiers and attributes may stand before `func` and `init`.
  private static func beginsFunction(_ text: Substring) -> Bool {
    for word in text.split(separator: " ", maxSplits: 8) {
      if word == "func" || word.hasPrefix("init(") || word.hasPrefix("init<") { return !text.hasSuffix("}") }
      let isModifier = word.hasPrefix("@") || word.utf8.allSatisfy { (97...122).contains($0) || [40, 41].contains($0) }
      guard isModifier else { return false }
    }
    return false
  }

  private static func beginsCFunction(_ line: Substring) -> Bool {
    guard let first = line.utf8.first, (97...122).contains(first) else { return false }
    return line.hasSuffix(") {")
  }

  /// The module of an import line, whatever kind of import and whatever follows it.
  private static func module(imported line: Substring) -> Substring? {
    let words = line.split(separator: " ").prefix { !$0.hasPrefix("//") }
    guard let place = words.firstIndex(of: "import"), words[..<place].allSatisfy(isImportModifier) else { return nil }
    let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
    let name = words[(place + 1)...].first { !kinds.contains($0) }
    return name?.split(separator: ".").first
  }

  private static func isImportModifier(_ word: Substring) -> Bool {
    word.hasPrefix("@") || ["public", "package", "internal", "private", "fileprivate"].contains(word)
  }

  /// What the pure core may import: itself, and the YAML reader in the one target that reads YAML.
  @Test func theCoreImportsOnlyItself() {
    let allowed = Set(Self.core.map { Substring($0) })
    for (file, number, module) in Self.imports where Self.core.contains(file.target) {
      let isAllowed = allowed.contains(module) || (file.target == "WherryRecipe" && module == "Yams")
      if !isAllowed { Issue.record("\(file.path):\(number) imports \(module); the core does no I/O") }
    }
  }

  @Test func theDevicePathStaysLight() {
    let heavy: Set<Substring> = ["Foundation", "FoundationEssentials", "Dispatch", "_Concurrency", "RegexBuilder"]
    for (file, number, module) in Self.imports where Self.devicePath.contains(file.target) && heavy.contains(module) {
      Issue.record("\(file.path):\(number) imports \(module), which the device path must not carry")
    }
    for file in Self.swift.files where Self.devicePath.contains(file.target) || Self.core.contains(file.target) {
      for (number, line) in file.lines.enumerated() where !line.contains("//") {
        let words = Set(line.split { " .(){}".contains($0) })
        guard !words.isDisjoint(with: ["async", "await", "actor", "Task"]), !line.contains("\"") else { continue }
        Issue.record("\(file.path):\(number + 1) uses Swift Concurrency, whose threads cost memory on each device")
      }
    }
  }

  /// Time and chance reach the core as arguments.
  @Test func theCoreHasNoClockAndNoDice() {
    for file in Self.swift.files where Self.core.contains(file.target) {
      for (number, line) in file.lines.enumerated() where !line.contains("//") {
        for mark in ["SystemRandomNumberGenerator", ".random(in:", ".shuffled()", "ContinuousClock", "SuspendingClock"]
        {
          if line.contains(mark), !line.contains("using:") {
            Issue.record("\(file.path):\(number + 1) uses \(mark); the core gets time and chance as arguments")
          }
        }
      }
    }
  }

  private static var imports: [(file: SourceTree.File, line: Int, module: Substring)] {
    swift.files.filter { $0.path.hasPrefix("Sources/") }.flatMap { file in
      file.lines.enumerated().compactMap { number, line in
        line.contains("import ") ? module(imported: line).map { (file, number + 1, $0) } : nil
      }
    }
  }

  @Test func nothingIsLeftUnfinished() {
    let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "try" + "!", "fatal" + "Error(\"not implemented"]
    for file in Self.swift.files + Self.native.files {
      for (number, line) in file.lines.enumerated() {
        for mark in marks where line.contains(mark) {
          Issue.record("\(file.path):\(number + 1) contains \(mark)")
        }
      }
    }
  }

  @Test func testsDoNotSleep() {
    for file in Self.swift.files where file.path.hasPrefix("Tests/") && !file.path.hasPrefix("Tests/TidyTests") {
      for (number, line) in file.lines.enumerated() {
        let isPolling = line.contains("// between two looks at the condition")
        if line.contains("sleep("), !isPolling {
          Issue.record("\(file.path):\(number + 1) sleeps; wait for the condition instead")
        }
      }
    }
  }

  @Test func linksInTheDocumentsLead() {
    let documents = SourceTree(under: ["Docs", "README.md", "CHANGELOG.md"], endings: [".md"])
    #expect(!documents.files.isEmpty)
    for file in documents.files {
      let folder = file.path.split(separator: "/").dropLast().joined(separator: "/")
      for (number, line) in file.lines.enumerated() {
        for target in Self.relativeLinks(in: line) {
          let path = (folder.isEmpty ? "" : folder + "/") + target
          if !SourceTree.exists(path) {
            Issue.record("\(file.path):\(number + 1) links to \(target), which is not there")
          }
        }
      }
    }
  }

  private static func relativeLinks(in line: Substring) -> [String] {
    line.components(after: "](").compactMap { rest in
      let target = rest.prefix(while: { $0 != ")" && $0 != "#" })
      return target.isEmpty || target.contains("://") ? nil : String(target)
    }
  }
}

extension Substring {
  /// What follows each occurrence of `mark`.
  func components(after mark: String) -> [Substring] {
    var found: [Substring] = []
    var rest = self
    while let start = rest.firstRange(of: mark) {
      rest = rest[start.upperBound...]
      found.append(rest)
    }
    return found
  }

  private func firstRange(of mark: String) -> Range<Index>? {
    var index = startIndex
    while index < endIndex {
      if self[index...].hasPrefix(mark) { return index..<self.index(index, offsetBy: mark.count) }
      index = self.index(after: index)
    }
    return nil
  }
}
