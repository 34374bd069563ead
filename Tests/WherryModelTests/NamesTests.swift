import Testing
import WherryModel

@Suite("Names")
struct NamesTests {
  @Test(
    "letters, digits, '-', '_' and '.' are allowed", arguments: ["a", "A9", "com.example.web", "kiosk-1", "0_0", "a.."])
  func valid(text: String) throws {
    #expect(try DeviceName(validating: text).rawValue == text)
    #expect(try ComponentName(validating: text).description == text)
  }

  @Test(
    "what would be special in a topic, a path or a certificate is refused",
    arguments: ["", ".", "..", "-a", "_a", "a/b", "a+b", "#", "a b", "a\0", "ä", "a\n", "a".repeated(129), "a%2f"])
  func invalid(text: String) {
    #expect(throws: NameError(noun: "device name", text: text)) { try DeviceName(validating: text) }
    #expect(!GroupName.isValid(text))
  }

  @Test("a refusal names the rule and does not repeat a kilobyte")
  func sentence() {
    let error = NameError(noun: "device name", text: "/".repeated(1000))
    #expect(error.description.utf8.count < 300)
    #expect(error.description.contains("starting with a letter or digit"))
  }

  @Test("128 letters are the most")
  func length() {
    #expect(ComponentName.isValid("a".repeated(128)))
    #expect(!ComponentName.isValid("a".repeated(129)))
  }

  @Test("names are ordered by their text")
  func order() {
    let names: [ComponentName] = ["b", "a.b", "a"]
    #expect(names.sorted() == ["a", "a.b", "b"])
    #expect(Generation(1) < Generation(1).next)
    #expect(DeploymentID(2) < DeploymentID(10))
  }
}
