import Testing
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryAgent

/// `wherry-agent deploy` as people type it, greengrass-cli's words among it.
@Suite struct DeployOptionsTests {
  private static func options(_ words: String...) throws -> DeployOptions {
    guard case .deploy(let options, _) = try AgentCommand(["deploy"] + words) else { throw Misuse(message: "another") }
    return options
  }

  private static func complaint(_ words: [String]) -> String {
    do { _ = try AgentCommand(["deploy"] + words) } catch { return (error as? Misuse)?.message ?? "\(error)" }
    return "no complaint"
  }

  @Test func takesGreengrassWords() throws {
    let options = try Self.options(
      "--recipeDir", "r", "--artifactDir=a", "--merge", "com.example.web=1.0.0", "-m", "lib=^1.2", "--remove", "old",
      "--failure-handling-policy", "DO_NOTHING", "--watch")
    #expect(options.recipeDirectories == ["r"] && options.artifactDirectories == ["a"] && options.watch)
    #expect(options.merge["com.example.web"]?.exactVersion == Version(1, 0, 0))
    #expect(options.merge["lib"]?.text == "^1.2" && options.remove == ["old"])
    #expect(options.policy.failureHandling == .doNothing)
  }

  @Test func statusAndListAreCommandsOfTheirOwn() throws {
    guard
      case .deployStatus("7.2", true, "f") = try AgentCommand(["deploy", "--config", "f", "status", "7.2", "--json"])
    else { throw Misuse(message: "not a status") }
    guard case .deployList(false, nil) = try AgentCommand(["deploy", "list"]) else {
      throw Misuse(message: "not a list")
    }
  }

  @Test(arguments: [
    ([], "deploy needs --merge"), (["--merge", "web"], "NAME=VERSION"), (["--merge", "web=x y z"], "NAME=VERSION"),
    (["--merge", "../x=1.0.0"], "not valid"), (["--merge", "web=1.0.0", "--merge", "web=2.0.0"], "merged twice"),
    (["--merge", "web=1.0.0", "--remove", "web"], "to be merged and to be removed"),
    (["--merge", "web=1.0.0", "--device-failure", "panic"], "rollback or nothing"),
    (["--merge", "web=1.0.0", "surprise"], "not expected here"), (["--merge"], "needs a value"),
  ]) func misuseIsExplained(words: [String], sentence: String) {
    #expect(Self.complaint(words).contains(sentence), "\(Self.complaint(words))")
  }

  @Test func configurationComesInlineOrFromAFile() throws {
    let text = "{\"web\": {\"Reset\": [\"/a\"], \"MERGE\": {\"b\": 1}}}"
    let directory = TemporaryDirectory()
    TestFile.write(Array(text.utf8), to: directory.file("update.json"))
    for word in [text, directory.file("update.json")] {
      let update = try Self.options("--update-config", word).configurations()["web"]
      #expect(update?.reset == ["/a"] && update?.merge == ["b": 1])
    }
  }

  @Test(arguments: [
    "{\"web\": {\"FOO\": 1}}", "{\"web\": {\"MERGE\": 1}}", "{\"web\": {\"RESET\": [\"a\"]}}", "{\"../x\": {}}", "{",
    "{}x",
    "{\"web\": 1}",
  ]) func whatIsNoUpdateIsRefused(text: String) throws {
    let options = try Self.options("--update-config", text)
    #expect { try options.configurations() } throws: { ($0 as? Failure)?.code == "local.configuration" }
  }
}
