/// The regular expression of a `/regex/` platform value, matched against the whole of a device's attribute.
///
/// Not the standard library's Regex: that brings a megabyte into the agent, and backtracks, so that a recipe's
/// `(a+)+b` could stop the service. This one runs all alternatives side by side (Thompson 1968) in time proportional
/// to pattern × text. It reads literals, `.`, classes, `\d \w \s` and their opposites, groups, `|`, `* + ? {m,n}` (also
/// lazy), `^` and `$`; no back-references and no look-around.
package struct PlatformPattern: Sendable {
  package static let lengthMaximum = 256
  private static let instructionsMaximum = 4_000

  enum Instruction: Hashable, Sendable {
    case one(ScalarClass)
    case fork(Int, Int)
    case jump(Int)
    case start
    case end
    case match
  }

  private let program: [Instruction]

  /// Nil when it is not such an expression.
  package init?(_ text: String) {
    guard text.utf8.count <= Self.lengthMaximum else { return nil }
    var parser = PlatformPatternParser(text)
    guard let root = parser.pattern() else { return nil }
    var program: [Instruction] = []
    guard Self.emit(root, into: &program) else { return nil }
    program.append(.match)
    self.program = program
  }

  /// `/…/`, or nil.
  package init?(slashed text: String) {
    guard text.utf8.count > 2, text.hasPrefix("/"), text.hasSuffix("/") else { return nil }
    self.init(String(text.dropFirst().dropLast()))
  }

  package func matches(_ text: String) -> Bool {
    let scalars = text.unicodeScalars.map(\.value)
    var current: Set<Int> = []
    follow(0, 0, scalars.count, &current)
    for (position, scalar) in scalars.enumerated() {
      var next: Set<Int> = []
      for state in current {
        if case .one(let accepted) = program[state], accepted.contains(scalar) {
          follow(state + 1, position + 1, scalars.count, &next)
        }
      }
      if next.isEmpty { return false }
      current = next
    }
    return current.contains(program.count - 1)
  }

  /// Adds a state and all that it leads to without reading a character.
  private func follow(_ state: Int, _ position: Int, _ count: Int, _ states: inout Set<Int>) {
    var waiting = [state]
    while let state = waiting.popLast() {
      guard states.insert(state).inserted else { continue }
      switch program[state] {
      case .fork(let left, let right): waiting += [left, right]
      case .jump(let target): waiting.append(target)
      case .start: if position == 0 { waiting.append(state + 1) }
      case .end: if position == count { waiting.append(state + 1) }
      case .one, .match: break
      }
    }
  }

  /// False when the program gets too long (`((a{64}){64}){64}`).
  private static func emit(_ node: PlatformPatternNode, into program: inout [Instruction]) -> Bool {
    guard program.count <= instructionsMaximum else { return false }
    switch node {
    case .one(let accepted): program.append(.one(accepted))
    case .start: program.append(.start)
    case .end: program.append(.end)
    case .sequence(let parts): return parts.allSatisfy { emit($0, into: &program) }
    case .either(let parts): return emitEither(parts[...], into: &program)
    case .repeated(let part, let least, let most):
      for _ in 0..<least {
        let before = program.count
        guard emit(part, into: &program) else { return false }
        // Nothing repeated is nothing; `((){64}){64}…` would go on for ever.
        if program.count == before { break }
      }
      guard let most else {
        let fork = program.count
        program.append(.fork(fork + 1, fork))
        guard emit(part, into: &program) else { return false }
        program.append(.jump(fork))
        program[fork] = .fork(fork + 1, program.count)
        return true
      }
      var forks: [Int] = []
      for _ in least..<most {
        forks.append(program.count)
        program.append(.jump(0))
        guard emit(part, into: &program) else { return false }
      }
      for fork in forks { program[fork] = .fork(fork + 1, program.count) }
    }
    return true
  }

  private static func emitEither(
    _ parts: ArraySlice<PlatformPatternNode>, into program: inout [Instruction]
  ) -> Bool {
    guard let first = parts.first else { return true }
    if parts.count == 1 { return emit(first, into: &program) }
    let fork = program.count
    program.append(.jump(0))
    guard emit(first, into: &program) else { return false }
    let jump = program.count
    program.append(.jump(0))
    program[fork] = .fork(fork + 1, program.count)
    guard emitEither(parts.dropFirst(), into: &program) else { return false }
    program[jump] = .jump(program.count)
    return true
  }
}

/// Some Unicode scalars.
struct ScalarClass: Hashable, Sendable {
  var ranges: [ClosedRange<UInt32>] = []
  var isNegated = false

  func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } != isNegated }

  static let any = ScalarClass(isNegated: true)
  static let digits: [ClosedRange<UInt32>] = [0x30...0x39]
  static let words: [ClosedRange<UInt32>] = [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A]
  static let blanks: [ClosedRange<UInt32>] = [0x09...0x0D, 0x20...0x20]
}

indirect enum PlatformPatternNode {
  case one(ScalarClass)
  case start
  case end
  case sequence([PlatformPatternNode])
  case either([PlatformPatternNode])
  case repeated(PlatformPatternNode, Int, Int?)
}

/// Recursive descent over the pattern; nil at the first thing that it does not read.
struct PlatformPatternParser {
  private static let repeatsMaximum = 64
  private let scalars: [Unicode.Scalar]
  private var index = 0

  init(_ text: String) { scalars = Array(text.unicodeScalars) }

  private var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  private mutating func take(_ wanted: Unicode.Scalar) -> Bool {
    guard next == wanted else { return false }
    index += 1
    return true
  }

  mutating func pattern() -> PlatformPatternNode? {
    guard let node = either(), next == nil else { return nil }
    return node
  }

  private mutating func either() -> PlatformPatternNode? {
    var parts: [PlatformPatternNode] = []
    repeat {
      var sequence: [PlatformPatternNode] = []
      while let scalar = next, scalar != "|", scalar != ")" {
        guard let node = item() else { return nil }
        sequence.append(node)
      }
      parts.append(.sequence(sequence))
    } while take("|")
    return .either(parts)
  }

  private mutating func item() -> PlatformPatternNode? {
    guard var node = atom() else { return nil }
    while let scalar = next, "*+?{".unicodeScalars.contains(scalar) {
      index += 1
      switch scalar {
      case "*": node = .repeated(node, 0, nil)
      case "+": node = .repeated(node, 1, nil)
      case "?": node = .repeated(node, 0, 1)
      default:
        guard let (least, most) = bounds() else { return nil }
        node = .repeated(node, least, most)
      }
      // Lazy or not, the whole text must match: the answer is the same.
      _ = take("?")
    }
    return node
  }

  /// `{3}`, `{2,}`, `{2,5}`, after the brace.
  private mutating func bounds() -> (Int, Int?)? {
    guard let least = number() else { return nil }
    if take("}") { return (least, least) }
    guard take(",") else { return nil }
    if take("}") { return (least, nil) }
    guard let most = number(), most >= least, take("}") else { return nil }
    return (least, most)
  }

  private mutating func number() -> Int? {
    var digits = ""
    while let scalar = next, ("0"..."9").contains(scalar), digits.utf8.count < 3 {
      digits.unicodeScalars.append(scalar)
      index += 1
    }
    guard let number = Int(digits), number <= Self.repeatsMaximum else { return nil }
    return number
  }

  private mutating func atom() -> PlatformPatternNode? {
    guard let scalar = next else { return nil }
    index += 1
    switch scalar {
    case "(":
      if take("?"), !take(":") { return nil }
      guard let node = either(), take(")") else { return nil }
      return node
    case "[": return scalarClass().map { .one($0) }
    case ".": return .one(.any)
    case "^": return .start
    case "$": return .end
    case "\\": return escape().map { .one($0) }
    case "*", "+", "?", "{": return nil
    default: return .one(ScalarClass(ranges: [scalar.value...scalar.value]))
    }
  }

  /// After the backslash.
  private mutating func escape() -> ScalarClass? {
    guard let scalar = next else { return nil }
    index += 1
    switch scalar {
    case "d": return ScalarClass(ranges: ScalarClass.digits)
    case "D": return ScalarClass(ranges: ScalarClass.digits, isNegated: true)
    case "w": return ScalarClass(ranges: ScalarClass.words)
    case "W": return ScalarClass(ranges: ScalarClass.words, isNegated: true)
    case "s": return ScalarClass(ranges: ScalarClass.blanks)
    case "S": return ScalarClass(ranges: ScalarClass.blanks, isNegated: true)
    case "a"..."z", "A"..."Z", "0"..."9": return nil
    default: return ScalarClass(ranges: [scalar.value...scalar.value])
    }
  }

  /// After the bracket: `[a-z_]`, `[^0-9]`, `[]a]`.
  private mutating func scalarClass() -> ScalarClass? {
    var result = ScalarClass(isNegated: take("^"))
    var isFirst = true
    while let scalar = next {
      index += 1
      if scalar == "]", !isFirst { return result }
      isFirst = false
      guard scalar != "[" else { return nil }
      guard scalar != "\\" else {
        guard let escaped = escape(), !escaped.isNegated else { return nil }
        result.ranges += escaped.ranges
        continue
      }
      if next == "-", index + 1 < scalars.count, scalars[index + 1] != "]" {
        let end = scalars[index + 1]
        guard end != "\\", end != "[", scalar.value <= end.value else { return nil }
        result.ranges.append(scalar.value...end.value)
        index += 2
      } else {
        result.ranges.append(scalar.value...scalar.value)
      }
    }
    return nil
  }
}
