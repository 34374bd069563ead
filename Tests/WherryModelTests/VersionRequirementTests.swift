import Testing
import WherryModel

/// Range, versions inside, versions outside. The expectations are node-semver's.
private let table: [(range: String, inside: [String], outside: [String])] = [
  ("1.2.3", ["1.2.3", "1.2.3+build"], ["1.2.4", "1.2.2", "1.2.3-rc.1"]),
  ("=1.2.3", ["1.2.3"], ["1.2.4"]),
  ("v1.2.3", ["1.2.3"], ["1.2.4"]),
  ("*", ["0.0.0", "1.2.3", "99.0.0"], ["1.0.0-alpha"]),
  ("x", ["1.2.3"], ["1.2.3-alpha"]),
  ("1", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0", "2.0.0-alpha", "1.0.0-alpha"]),
  ("1.x", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0"]),
  ("1.2.*", ["1.2.0", "1.2.9"], ["1.3.0", "1.1.9"]),
  ("1.x.3", ["1.0.0", "1.9.9"], ["2.0.0"]),
  ("^1.2.3", ["1.2.3", "1.9.0"], ["1.2.2", "2.0.0", "2.0.0-alpha", "1.3.0-alpha"]),
  ("^1.2", ["1.2.0", "1.9.0"], ["1.1.9", "2.0.0"]),
  ("^1", ["1.0.0", "1.9.0"], ["2.0.0"]),
  ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
  ("^0.0.3", ["0.0.3"], ["0.0.4", "0.0.2"]),
  ("^0.0", ["0.0.0", "0.0.9"], ["0.1.0"]),
  ("^0.x", ["0.0.0", "0.9.0"], ["1.0.0"]),
  ("^1.2.3-beta.2", ["1.2.3-beta.2", "1.2.3-beta.10", "1.2.3", "1.9.0"], ["1.2.3-beta.1", "1.2.4-beta.2", "2.0.0"]),
  ("^0.0.3-beta", ["0.0.3-beta", "0.0.3-pr.2", "0.0.3"], ["0.0.4"]),
  ("~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0", "1.2.2"]),
  ("~1.2", ["1.2.0", "1.2.9"], ["1.3.0"]),
  ("~1", ["1.0.0", "1.9.0"], ["2.0.0"]),
  ("~>1.2", ["1.2.0"], ["1.3.0"]),
  ("~1.2.3-beta.2", ["1.2.3-beta.2", "1.2.3"], ["1.2.4-beta.2", "1.3.0"]),
  (">1.2.3", ["1.2.4", "2.0.0"], ["1.2.3", "1.2.4-alpha"]),
  (">1.2", ["1.3.0"], ["1.2.9", "1.3.0-alpha"]),
  (">1", ["2.0.0"], ["1.9.9"]),
  (">*", [], ["0.0.0", "1.0.0", "99.0.0", "0.0.0-0"]),
  ("<*", [], ["0.0.0", "0.0.0-0"]),
  (">=*", ["0.0.0", "9.0.0"], ["1.0.0-a"]),
  (">=1.2.3", ["1.2.3", "9.0.0"], ["1.2.2", "2.0.0-beta"]),
  (">=1.2", ["1.2.0"], ["1.1.9"]),
  ("<2.0.0", ["1.9.9", "0.0.0"], ["2.0.0", "2.0.0-alpha"]),
  ("<1.2", ["1.1.9"], ["1.2.0", "1.2.0-alpha"]),
  ("<=1.2", ["1.2.9"], ["1.3.0"]),
  ("<=1.2.3", ["1.2.3"], ["1.2.4"]),
  (">= 2.0.3", ["2.0.3", "3.0.0"], ["2.0.2"]),
  ("^ 1.2.3", ["1.9.0"], ["2.0.0"]),
  (">=1.0.0 <2.0.0", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0", "2.0.0-alpha"]),
  (">=1.0.0<2.0.0", ["1.5.0"], ["2.0.0"]),
  ("  >=1.0.0\t<2.0.0  ", ["1.5.0"], ["2.0.0"]),
  (">=2.0.0 <1.0.0", [], ["1.0.0", "1.5.0", "2.0.0"]),
  (">1.2.3-alpha.3", ["1.2.3-alpha.7", "1.2.3", "3.4.5"], ["3.4.5-alpha.9", "1.2.3-alpha.3"]),
  ("1.2 - 2.3.4", ["1.2.0", "2.3.4"], ["2.3.5", "1.1.9"]),
  ("1.2.3 - 2.3", ["1.2.3", "2.3.9"], ["2.4.0", "2.4.0-alpha"]),
  ("1.2.3 - 2", ["2.9.9"], ["3.0.0"]),
  ("1.2.3 - *", ["1.2.3", "99.0.0"], ["1.2.2"]),
  ("1.0.0 || 2.0.0", ["1.0.0", "2.0.0"], ["1.5.0"]),
  ("<1.0.0||>=2.0.0", ["0.9.0", "2.1.0"], ["1.5.0"]),
  ("^1.0.0 || ^3.0.0-rc.1", ["1.5.0", "3.0.0-rc.2", "3.1.0"], ["2.0.0", "3.1.0-rc.1"]),
]

@Suite("VersionRequirement")
struct VersionRequirementTests {
  @Test("a range holds what npm says it holds", arguments: table.indices)
  func contains(row: Int) throws {
    let (range, inside, outside) = table[row]
    let requirement = try #require(VersionRequirement(range), "\(range) must be read")
    for text in inside {
      #expect(requirement.contains(try #require(Version(text))), "\(text) must be in \(range)")
    }
    for text in outside {
      #expect(!requirement.contains(try #require(Version(text))), "\(text) must not be in \(range)")
    }
  }

  @Test(
    "what is no range is refused",
    arguments: [
      "", " ", "||", "1.0.0 ||", "|| 1.0.0", "latest", "1.2.3.4", ">", ">=", ">>1.0.0", "^^1.0.0", "1.0.0 -", "- 1.0.0",
      "a - b", "1.0.0 - 2.0.0 - 3.0.0", ">=1.0.0 <", "1.-1", "1..2", "01.0.0", "1000000", "1.0.0 | 2.0.0", "é",
      "1.0.0\n",
      ">=1.0.0 ".repeated(40),
    ])
  func refused(text: String) {
    #expect(VersionRequirement(text) == nil)
  }

  @Test("an exact requirement holds its version alone")
  func exactly() throws {
    let version = try #require(Version("1.2.3-rc.1"))
    let requirement = VersionRequirement(exactly: version)
    #expect(requirement.contains(version))
    #expect(!requirement.contains(Version(1, 2, 3)))
    #expect(requirement.exactVersion == version)
    #expect(VersionRequirement("1.2.3")?.exactVersion == Version(1, 2, 3))
    #expect(VersionRequirement("1.2")?.exactVersion == nil)
    #expect(VersionRequirement("1.0.0 || 2.0.0")?.exactVersion == nil)
  }

  @Test("the text is kept for people")
  func text() {
    #expect(VersionRequirement(" >= 1.0.0   <2.0.0 ")?.text == ">= 1.0.0 <2.0.0")
  }

  @Test("caret and tilde agree with their comparator form for every small version")
  func exhaustive() throws {
    let numbers = [0, 1, 2, 3]
    for major in numbers {
      for minor in numbers {
        for patch in numbers {
          let base = Version(major, minor, patch)
          let ceiling =
            major > 0
            ? Version(major + 1, 0, 0) : minor > 0 ? Version(0, minor + 1, 0) : Version(0, 0, patch + 1)
          let caret = try #require(VersionRequirement("^\(base)"))
          let tilde = try #require(VersionRequirement("~\(base)"))
          for other in [
            (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 2, 2), (1, 0, 0), (1, 1, 1), (2, 3, 0), (3, 3, 3), (4, 0, 0),
          ] {
            let version = Version(other.0, other.1, other.2)
            #expect(caret.contains(version) == (version >= base && version < ceiling))
            #expect(tilde.contains(version) == (version >= base && version < Version(major, minor + 1, 0)))
          }
        }
      }
    }
  }
}
