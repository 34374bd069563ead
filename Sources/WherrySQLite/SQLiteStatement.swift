import CSQLite

/// A prepared statement; lives as long as its database's cache keeps it.
final class SQLiteStatement {
  let pointer: OpaquePointer
  let sql: String
  let columnNames: [String]

  init(_ pointer: OpaquePointer, sql: String) {
    self.pointer = pointer
    self.sql = sql
    columnNames = (0..<sqlite3_column_count(pointer)).map { index in
      sqlite3_column_name(pointer, index).map { String(cString: $0) } ?? ""
    }
  }

  deinit { sqlite3_finalize(pointer) }

  /// SQLite's result code.
  func bind(_ values: [SQLiteValue]) -> Int32 {
    for (offset, value) in values.enumerated() {
      let code = bind(value, at: Int32(offset + 1))
      guard code == SQLITE_OK else { return code }
    }
    return SQLITE_OK
  }

  private func bind(_ value: SQLiteValue, at index: Int32) -> Int32 {
    switch value {
    case .null: return sqlite3_bind_null(pointer, index)
    case .integer(let integer): return sqlite3_bind_int64(pointer, index, integer)
    case .real(let real): return sqlite3_bind_double(pointer, index, real)
    case .text(var text):
      return text.withUTF8 { bytes in
        bytes.withMemoryRebound(to: CChar.self) { characters in
          guard let address = characters.baseAddress else { return wherry_sqlite_bind_text(pointer, index, "", 0) }
          return wherry_sqlite_bind_text(pointer, index, address, Int32(characters.count))
        }
      }
    case .blob(let bytes): return wherry_sqlite_bind_blob(pointer, index, bytes, Int32(bytes.count))
    }
  }

  var row: SQLiteRow { SQLiteRow(names: columnNames, values: (0..<Int32(columnNames.count)).map { column($0) }) }

  private func column(_ index: Int32) -> SQLiteValue {
    switch sqlite3_column_type(pointer, index) {
    case SQLITE_INTEGER: return .integer(sqlite3_column_int64(pointer, index))
    case SQLITE_FLOAT: return .real(sqlite3_column_double(pointer, index))
    case SQLITE_TEXT:
      // The text's pointer first: asking for the length may convert the value.
      let bytes = sqlite3_column_text(pointer, index)
      let count = Int(sqlite3_column_bytes(pointer, index))
      return .text(String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self))
    case SQLITE_BLOB:
      let bytes = sqlite3_column_blob(pointer, index)
      let count = Int(sqlite3_column_bytes(pointer, index))
      return .blob(Array(UnsafeRawBufferPointer(start: bytes, count: count)))
    default: return .null
    }
  }

  /// Ready for the next use, and no longer holding a read transaction or the bound values' memory.
  func reset() {
    sqlite3_reset(pointer)
    sqlite3_clear_bindings(pointer)
  }
}
