/// A value of a column or a binding.
package enum SQLiteValue: Hashable, Sendable {
  case null
  case integer(Int64)
  case real(Double)
  case text(String)
  case blob([UInt8])

  package var isNull: Bool { self == .null }

  package var integer: Int64? {
    if case .integer(let value) = self { value } else { nil }
  }

  /// Integers count as numbers too.
  package var real: Double? {
    switch self {
    case .real(let value): value
    case .integer(let value): Double(value)
    case .null, .text, .blob: nil
    }
  }

  package var text: String? {
    if case .text(let value) = self { value } else { nil }
  }

  package var blob: [UInt8]? {
    if case .blob(let value) = self { value } else { nil }
  }
}

extension SQLiteValue: ExpressibleByNilLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByStringLiteral
{
  package init(nilLiteral: ()) { self = .null }
  package init(integerLiteral value: Int64) { self = .integer(value) }
  package init(floatLiteral value: Double) { self = .real(value) }
  package init(stringLiteral value: String) { self = .text(value) }
}

/// One row of a result.
package struct SQLiteRow: Sendable {
  package let names: [String]
  package let values: [SQLiteValue]

  package var count: Int { values.count }

  package subscript(index: Int) -> SQLiteValue { values[index] }

  /// By the column's name in the statement. Asking for one that is not there is a mistake in the program.
  package subscript(name: String) -> SQLiteValue {
    guard let index = names.firstIndex(of: name) else {
      preconditionFailure("no column \"\(name)\" among \(names.joined(separator: ", "))")
    }
    return values[index]
  }
}
