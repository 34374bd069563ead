import Testing
import WherryModel

@Suite("Version")
struct VersionTests {
  /// semver.org §11, with build metadata left out of the order.
  @Test("precedence follows semver.org §11")
  func precedence() {
    let ascending = [
      "0.0.1", "0.1.0", "1.0.0-0", "1.0.0-2", "1.0.0-11", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
      "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.1.0", "1.10.0", "2.0.0",
    ].compactMap { Version($0) }
    #expect(ascending.count == 17)
    for (index, lower) in ascending.enumerated() {
      for higher in ascending[(index + 1)...] {
        #expect(lower < higher)
        #expect(!(higher < lower))
      }
    }
  }

  @Test("build metadata takes no part in the order")
  func build() throws {
    let left = try #require(Version("1.0.0+a"))
    let right = try #require(Version("1.0.0+b"))
    #expect(!(left < right) && !(right < left))
  }

  @Test(
    "what is written is what is printed",
    arguments: ["0.0.0", "1.2.3", "999999.0.0", "1.0.0-alpha.1", "1.0.0-x-y.7+build.01", "1.0.0+20130313144700"])
  func roundTrip(text: String) {
    #expect(Version(text)?.description == text)
  }

  @Test(
    "everything else is refused",
    arguments: [
      "", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.02.3", "1.2.03", "1000000.0.0", "-1.0.0", "1.2.x", "1.2.3-",
      "1.2.3+", "1.2.3-01", "1.2.3-a..b", "1.2.3-ä", " 1.2.3", "1.2.3 ", "1.2.3\n", "1.0.0-" + "9".repeated(60),
      "١.٢.٣",
    ])
  func refused(text: String) {
    #expect(Version(text) == nil)
  }
}

extension String {
  func repeated(_ count: Int) -> String { String(repeating: self, count: count) }
}
