import Testing
import WherryJSON

struct JSONWritingTests {
  @Test("objects are written in the order of their keys' UTF-8 bytes, without blanks")
  func order() {
    let json: JSON = ["b": [1, 2], "a": ["z": nil, "B": true], "é": 1, "aa": "", "": 0, "😀": 1, "\u{fb33}": 2]
    #expect(
      json.canonical == "{\"\":0,\"a\":{\"B\":true,\"z\":null},\"aa\":\"\",\"b\":[1,2],\"é\":1,\"\u{fb33}\":2,\"😀\":1}")
  }

  @Test("only what must be escaped is")
  func escapes() {
    let json: JSON = "\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}\u{2028}é😀"
    #expect(json.canonical == "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}\u{2028}é😀\"")
  }

  // The numbers of RFC 8785, appendix B, but for those beyond 2^53, which stay exact here.
  @Test(
    "numbers are written as RFC 8785 says",
    arguments: [
      (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
      (0x8000_0000_0000_0001, "-5e-324"), (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
      (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"), (0x4340_0000_0000_0000, "9007199254740992"),
      (0xc340_0000_0000_0000, "-9007199254740992"), (0x4430_0000_0000_0000, "295147905179352830000"),
      (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"), (0x44b5_2d02_c7e1_4af6, "1e+23"),
      (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"), (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
      (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"), (0x444b_1ae4_d6e2_ef50, "1e+21"),
      (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"), (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
      (0x41b3_de43_5555_5553, "333333333.3333332"), (0x41b3_de43_5555_5557, "333333333.33333343"),
      (0xbecb_f647_612f_3696, "-0.0000033333333333333333"), (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] as [(UInt64, String)])
  func numbers(bits: UInt64, expected: String) {
    #expect(JSON.number(Double(bitPattern: bits)).canonical == expected)
  }

  @Test("a number that equals an integer has the integer's spelling")
  func wholeNumbers() throws {
    for text in ["1", "1.0", "1e0", "10e-1", "0.1e1"] { #expect(try JSON(parsing: text).canonical == "1") }
    #expect(try JSON(parsing: "9223372036854775807").canonical == "9223372036854775807")
  }

  @Test("every digest of equal values is over equal bytes: writing what was read changes nothing more")
  func fixedPoint() throws {
    let text = "{ \"b\" : [ 1.50, -0, 1e2 ], \"a\" : \"\\u0041\\/\" }"
    let once = try JSON(parsing: text).canonical
    #expect(once == "{\"a\":\"A/\",\"b\":[1.5,0,100]}")
    #expect(try JSON(parsing: once).canonical == once)
    #expect(try JSON(parsing: once).canonicalBytes == Array(once.utf8))
  }
}
