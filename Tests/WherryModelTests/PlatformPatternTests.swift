import Testing
import WherryModel

private let table: [(pattern: String, inside: [String], outside: [String])] = [
  ("linux", ["linux"], ["", "linu", "linuxx", "Linux", "xlinux"]),
  ("", [""], ["a"]),
  ("amd64|aarch64", ["amd64", "aarch64"], ["amd6", "aarch6", "amd64aarch64"]),
  ("a|b|", ["a", "b", ""], ["ab"]),
  ("(arm|aarch)(v7|64)?", ["arm", "armv7", "aarch64", "arm64"], ["armv8", "v7"]),
  ("(?:ab)+", ["ab", "abab"], ["", "aba"]),
  ("a*", ["", "a", "aaaa"], ["b", "ab"]),
  ("a+b?", ["a", "ab", "aaab"], ["", "b", "abb"]),
  ("a*?b+?", ["b", "aab"], ["a"]),
  ("a{3}", ["aaa"], ["aa", "aaaa"]),
  ("a{2,}", ["aa", "aaaaa"], ["a"]),
  ("a{1,3}b", ["ab", "aaab"], ["b", "aaaab"]),
  ("a{0}", [""], ["a"]),
  ("cortex-a.*", ["cortex-a", "cortex-a72"], ["cortex-m4"]),
  ("c.t", ["cat", "cöt", "c\nt"], ["ct", "caat"]),
  ("[a-c]x[^0-9]", ["axb", "cx-"], ["dxb", "ax1", "ax"]),
  ("[-a]+", ["-a-"], ["b"]), ("[a-]", ["a", "-"], ["b"]), ("[]]", ["]"], ["["]), ("[\\d_]+", ["1_2"], ["a"]),
  ("\\d+\\.\\d+", ["1.10"], ["1x1", "1."]),
  ("\\w+\\s\\S\\D\\W", ["ab1_ xy-"], ["ab xyz"]),
  ("a\\|b\\\\", ["a|b\\"], ["a", "b\\"]),
  ("^linux$", ["linux"], ["alinux"]),
  ("^(a|b)$|^c", ["a", "b", "c"], ["ab", "cd"]),
  ("a^b", [], ["ab", "a^b"]), ("a$b", [], ["ab"]),
  ("(a*)*", ["", "aaa"], ["b"]), ("(a|a)*b", ["b", "aab"], ["a"]),
  ("/x", ["/x"], ["x"]), ("é+", ["é", "éé"], ["e"]),
]

@Suite("PlatformPattern")
struct PlatformPatternTests {
  @Test("matches the whole text", arguments: table.indices)
  func matches(row: Int) throws {
    let pattern = try #require(PlatformPattern(table[row].pattern))
    for text in table[row].inside { #expect(pattern.matches(text), "\(text) must match \(table[row].pattern)") }
    for text in table[row].outside { #expect(!pattern.matches(text), "\(text) must not match \(table[row].pattern)") }
  }

  @Test(
    "what it does not read is refused",
    arguments: [
      "(", ")", "(a", "a)", "[", "[a", "[]", "[z-a]", "[[a]]", "*", "+a", "?", "a|*", "{2}", "a{", "a{}", "a{,2}",
      "a{3,2}",
      "a{999}", "\\", "\\1", "\\b", "(?=a)", "(?<n>a)", "[\\D]", "((a{64}){64}){64}",
      String(repeating: "a", count: 257),
    ])
  func refused(text: String) {
    #expect(PlatformPattern(text) == nil)
  }

  @Test("a pattern between slashes")
  func slashed() {
    #expect(PlatformPattern(slashed: "/a|b/")?.matches("b") == true)
    for text in ["", "/", "//", "a", "/a", "a/"] { #expect(PlatformPattern(slashed: text) == nil) }
  }

  @Test("patterns that stop a backtracking engine take no time")
  func linear() throws {
    let text = String(repeating: "a", count: 2_000)
    #expect(try #require(PlatformPattern("(a+)+b")).matches(text) == false)
    #expect(try #require(PlatformPattern("(a|aa)*b|(a*)*c|a*")).matches(text))
    let nothing = String(repeating: "(", count: 40) + String(repeating: "){64}", count: 40)
    #expect(try #require(PlatformPattern(nothing)).matches(""))
    #expect(try #require(PlatformPattern("(a?){60}a{60}")).matches(String(repeating: "a", count: 60)))
  }
}
