import ArgumentParser
import WherryModel

extension DeviceName: ExpressibleByArgument {
  package init?(argument: String) { try? self.init(validating: argument) }
}
extension GroupName: ExpressibleByArgument {
  package init?(argument: String) { try? self.init(validating: argument) }
}
extension ComponentName: ExpressibleByArgument {
  package init?(argument: String) { try? self.init(validating: argument) }
}
extension DeploymentID: ExpressibleByArgument {
  package init?(argument: String) {
    guard let number = Int64(argument), number > 0 else { return nil }
    self.init(number)
  }
}

/// `key=value`.
func parsePair(_ text: String, what: String) throws -> (key: String, value: String) {
  let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
  guard parts.count == 2, !parts[0].isEmpty else {
    throw ValidationError("\(what) \"\(text)\" must be written key=value")
  }
  return (parts[0], parts[1])
}

/// `90s`, `15m`, `24h`, `7d` or plain seconds.
func parseSeconds(_ text: String, what: String) throws -> Int {
  let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
  let factor = text.last.flatMap { units[$0] }
  let digits = factor == nil ? text : String(text.dropLast())
  guard let number = Int(digits), number >= 0, number <= 1_000_000 else {
    throw ValidationError("\(what) \"\(text)\" must be a number with s, m, h or d behind it, for example 15m")
  }
  return number * (factor ?? 1)
}
