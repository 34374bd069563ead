import Testing
import WherryJSON

struct JSONAccessTests {
  // RFC 6901 §5
  private static let document: JSON = [
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8,
  ]

  @Test(
    "a pointer finds what RFC 6901 says it names",
    arguments: [
      ("/foo", ["bar", "baz"] as JSON), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3),
      ("/g|h", 4), ("/i\\j", 5), ("/k\"l", 6), ("/ ", 7), ("/m~0n", 8),
    ] as [(String, JSON)])
  func pointers(pointer: String, expected: JSON) { #expect(Self.document.value(at: pointer) == expected) }

  @Test("the empty pointer is the whole")
  func whole() { #expect(Self.document.value(at: "") == Self.document) }

  @Test(
    "a pointer to nothing finds nothing",
    arguments: [
      "foo", "/bar", "/foo/2", "/foo/-", "/foo/00", "/foo/-1", "/foo/0/x", "/foo/99999999999999999999", "//", "/foo/",
    ])
  func nothing(pointer: String) { #expect(Self.document.value(at: pointer) == nil) }

  @Test("assigning a member makes, replaces and removes it")
  func members() {
    var json: JSON = [:]
    json["a"] = 1
    json["b"] = ["c": 2]
    json["b"]?["c"] = 3
    json["a"] = JSON?.none
    #expect(json == ["b": ["c": 3]])
    #expect(json["b"]?["c"]?.integerValue == 3)
    #expect(json["x"]?["y"] == nil)
  }

  @Test("accessors give only their own kind, but an integer is a number too")
  func kinds() {
    #expect(JSON.integer(3).doubleValue == 3)
    #expect(JSON.number(3).integerValue == 3)
    #expect(JSON.number(3.5).integerValue == nil)
    #expect(JSON.string("3").integerValue == nil)
    #expect(JSON.bool(true).integerValue == nil)
    #expect(JSON.null.stringValue == nil)
    #expect(JSON.array([1]).objectValue == nil)
  }

  @Test("a mismatch names its place and both kinds")
  func mismatches() throws {
    let cursor = JSONCursor(["plan": ["size": "big", "a/b~": [1, true]]])
    let size = try #require(throws: JSONShapeError.self) { try cursor.require("plan").require("size").integer() }
    #expect(size.description == "/plan/size: expected an integer, found a string")
    let element = try #require(throws: JSONShapeError.self) {
      try cursor.require("plan").require("a/b~").array()[1].string()
    }
    #expect(element.path == "/plan/a~1b~0/1")
    let missing = try #require(throws: JSONShapeError.self) { try cursor.require("plan").require("digest") }
    #expect(missing.description == "/plan: \"digest\" is missing")
    let root = try #require(throws: JSONShapeError.self) { try JSONCursor([]).require("a") }
    #expect(root.description == "/: expected an object, found an array")
  }

  @Test("null counts as absent")
  func absence() throws {
    let cursor = JSONCursor(["a": nil, "b": 1])
    #expect(try cursor.optional("a")?.json == nil)
    #expect(throws: JSONShapeError.self) { try cursor.require("a") }
    #expect(try cursor.object().keys.sorted() == ["a", "b"])
  }
}
