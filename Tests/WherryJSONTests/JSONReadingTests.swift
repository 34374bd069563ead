import Testing
import WherryJSON

struct JSONReadingTests {
  @Test(
    "what RFC 8259 allows is read",
    arguments: [
      ("null", JSON.null), (" true ", true), ("\t\r\n false", false), ("0", 0), ("-0", 0), ("-12", -12),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)), ("1.5", 1.5),
      ("-2.5e-3", -0.0025), ("1E3", .number(1000)), ("\"\"", ""),
      ("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "a\"\\/\u{8}\u{c}\n\r\t"),
      ("\"\\u0041\\u00e9\\u20AC\"", "Aé€"), ("\"\\ud83d\\ude00\"", "😀"), ("\"😀é\u{7f}\"", "😀é\u{7f}"),
      ("\"\\u0000\"", "\0"), ("[]", []), ("[ 1 , [ ] , {} ]", [1, [], [:]]), ("{}", [:]),
      ("{\"a\":{\"b\":[null]},\"\":0}", ["a": ["b": [nil]], "": 0]), ("{\"a\\u0062\":1}", ["ab": 1]),
    ] as [(String, JSON)])
  func accepted(text: String, expected: JSON) throws { #expect(try JSON(parsing: text) == expected) }

  @Test(
    "everything else is refused",
    arguments: [
      "", " ", "nul", "nulll", "True", "NaN", "Infinity", "-Infinity", "-", "+1", "01", "-01", ".5", "1.", "1.e3", "1e",
      "1e+", "0x10", "1e999", "-1e999", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "{\"a\"}", "{\"a\":}",
      "{\"a\":1,}", "{,}", "{a:1}", "{1:1}", "{\"a\":1 \"b\":2}", "{\"a\":1}}", "1 2", "// c\n1", "/* c */ 1", "'a'",
      "\"", "\"a", "\"\\", "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\n\"",
      "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\\u{41}\"", "\"\u{1}\"", "\"a\nb\"", "\u{feff}1", "\u{a0}1",
    ])
  func refused(text: String) { #expect(throws: JSONError.self) { try JSON(parsing: text) } }

  @Test(
    "bytes that are not UTF-8 are refused",
    arguments: [
      [0x22, 0xFF, 0x22], [0x22, 0xC0, 0xAF, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
      [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22],
      [0x22, 0xE2, 0x82, 0x22], [0x22, 0x5C, 0x6E, 0x80, 0x22], [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D],
    ] as [[UInt8]])
  func invalidUTF8(bytes: [UInt8]) { #expect(throws: JSONError.self) { try JSON(parsing: bytes) } }

  @Test(
    "a key that occurs twice is refused, however it is written",
    arguments: [
      "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":1}", "{\"b\":{\"a\":1,\"c\":2,\"a\":1}}",
      "{\"\u{e9}\":1,\"e\u{301}\":2}",
    ])
  func duplicateKeys(text: String) {
    let error = #expect(throws: JSONError.self) { try JSON(parsing: text) }
    #expect(error?.message.contains("twice") == true)
  }

  @Test("the error names line, column and offset of the place")
  func place() throws {
    let error = try #require(throws: JSONError.self) { try JSON(parsing: "{\n  \"a\": 1,\n  \"b\": tru\n}") }
    #expect(error.line == 3)
    #expect(error.column == 8)
    #expect(error.offset == 19)
    #expect(error.description.hasPrefix("line 3, column 8: "))
  }

  @Test("depth is limited, and the limit itself is allowed")
  func depth() throws {
    let limits = JSONLimits(depthMaximum: 5)
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(throws: Never.self) { try JSON(parsing: nested(5), limits: limits) }
    #expect(throws: JSONError.self) { try JSON(parsing: nested(6), limits: limits) }
    // Siblings are not levels.
    #expect(throws: Never.self) { try JSON(parsing: "[[],[],[],[],[],[],[]]", limits: limits) }
  }

  @Test("a million opening brackets end at the limit, not at the end of the stack")
  func bomb() {
    let brackets = [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
    #expect(throws: JSONError.self) { try JSON(parsing: brackets) }
    let objects = Array(String(repeating: "{\"a\":", count: 200_000).utf8)
    #expect(throws: JSONError.self) { try JSON(parsing: objects) }
  }

  @Test("ten megabytes are refused by their size alone")
  func size() throws {
    let junk = [UInt8](repeating: UInt8(ascii: " "), count: 10 << 20)
    let error = try #require(throws: JSONError.self) { try JSON(parsing: junk) }
    #expect(error.offset == 0)
    #expect(error.message.contains("1048576"))
    #expect(throws: Never.self) { try JSON(parsing: [UInt8](repeating: 0x20, count: (1 << 20) - 1) + [0x31]) }
  }
}
