import CSQLite

/// What SQLite refused, in which file and with which statement.
package struct SQLiteError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Kind: Hashable, Sendable {
    case constraint, busy, full, corrupt, readOnly, cannotOpen, misuse, other
  }
  package let kind: Kind
  /// SQLite's extended result code.
  package let code: Int32
  package let path: String
  /// The statement, or what was attempted.
  package let operation: String
  package let message: String

  init(code: Int32, path: String, operation: String, message: String) {
    self.code = code
    self.path = path
    self.operation = operation
    self.message = message
    switch code & 0xff {
    case SQLITE_CONSTRAINT: kind = .constraint
    case SQLITE_BUSY, SQLITE_LOCKED: kind = .busy
    case SQLITE_FULL: kind = .full
    case SQLITE_CORRUPT, SQLITE_NOTADB: kind = .corrupt
    case SQLITE_READONLY: kind = .readOnly
    case SQLITE_CANTOPEN: kind = .cannotOpen
    case SQLITE_MISUSE: kind = .misuse
    default: kind = .other
    }
  }

  package var remedy: String {
    switch kind {
    case .busy: "another program holds the database; stop it"
    case .full: "free some space on its file system"
    case .corrupt: "restore the file from a backup"
    case .readOnly, .cannotOpen: "check that its directory exists and that this user may write there"
    case .constraint, .misuse, .other: ""
    }
  }

  package var description: String {
    let sentence = "the database \(path): \(message), in \"\(operation.prefix(200))\""
    return remedy.isEmpty ? sentence : "\(sentence); \(remedy)"
  }
}
