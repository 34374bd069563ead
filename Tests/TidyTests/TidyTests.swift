import Testing

/// Taste as a test: what review would otherwise have to say each time.
@Suite struct TidyTests {
  static let swift = SourceTree(under: ["Sources", "Tests"], endings: [".swift"])
  static let native = SourceTree(under: ["Sources"], endings: [".c", ".h"])

  /// What runs on a device all day, and its short-lived workers.
  static let devicePath = [
    "WherryJSON", "WherryModel", "WherryPlanning", "WherryLifecycle", "WherryWire", "WherryCrypto", "WherrySQLite",
    "WherryMQTT", "WherryIsolation", "WherryAgent", "WherryOCI", "WherryTransfer", "wherry-agent", "wherry-fetch",
  ]
  static let core = [
    "WherryJSON", "WherryModel", "WherryRecipe", "WherryPlanning", "WherryLifecycle", "WherryRollout", "WherryWire",
    "WherrySimulation",
  ]

  @Test func filesAreReadableInOneSitting() {
    for file in Self.swift.files + Self.native.files where file.lines.count > 400 {
      Issue.record("\(file.path) has \(file.lines.count) lines; 400 is the limit, so find the noun inside it")
    }
  }

  @Test func linesFitTheScreen() {
    for file in Self.swift.files + Self.native.files {
      for (number, line) in file.lines.enumerated() where line.count > 120 && !line.contains("http") {
        Issue.record("\(file.path):\(number + 1) has \(line.count) characters; 120 is the limit")
      }
    }
  }

  /// A function runs from its `func` line to the closing brace at the same indentation.
  @Test func functionsAreShort() {
    for file in Self.swift.files {
      var open: (line: Int, indentation: Int, name: Substring)?
      for (number, line) in file.lines.enumerated() {
        let indentation = line.prefix(while: { $0 == " " }).count
        if let started = open, indentation == started.indentation, line.dropFirst(indentation).hasPrefix("}") {
          let length = number - started.line + 1
          if length > 70 {
            Issue.record("\(file.path):\(started.line + 1) `\(started.name)` has \(length) lines; 70 is the limit")
          }
          open = nil
        }
        let opens = line.contains("func ") || line.dropFirst(indentation).hasPrefix("init(")
        guard opens, line.hasSuffix("{") else { continue }
        open = (number, indentation, line.dropFirst(indentation).prefix(60))
      }
    }
  }

  @Test func noForbiddenImports() {
    for file in Self.swift.files where file.path.hasPrefix("Sources/") {
      let target = String(file.path.split(separator: "/")[1])
      for (number, line) in file.lines.enumerated() {
        let words = line.split(separator: " ")
        guard words.contains("import"), let module = words.last, words.count <= 4, !line.hasPrefix("//") else {
          continue
        }
        if Self.devicePath.contains(target), ["Foundation", "FoundationEssentials", "Dispatch"].contains(module) {
          Issue.record("\(file.path):\(number + 1) imports \(module), which the device path must not carry")
        }
        if Self.core.contains(target), ["Foundation", "FoundationEssentials", "Dispatch", "Glibc"].contains(module) {
          Issue.record("\(file.path):\(number + 1) imports \(module); the core does no I/O")
        }
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
