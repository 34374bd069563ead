import Foundation
import Glibc
import Testing
import WherryTestSupport

/// The README's first command, as a user types it; the programs are those that the tests were built with.
extension OnRealParts {
  @Suite struct QuickstartTests {}
}

extension OnRealParts.QuickstartTests {
  private static let script = TestFleet.root + "/provisioning/quickstart.sh"

  /// A fleet id, an address range and ports of this run's own, beside a quickstart that may be up on this machine.
  private struct Place {
    let folder: String
    let id = "s" + String(getpid() % 100_000)
    let port: Int

    init() throws {
      folder = try Command.temporaryFolder()
      port = try Self.freePorts()
    }

    var environment: [String: String] {
      ProcessInfo.processInfo.environment.merging(
        [
          "WHERRY_BIN": Command.binaries, "WHERRY_PORT": String(port), "WHERRY_ID": id,
          "WHERRY_NET": String(TestFleet.network), "TMPDIR": folder,
        ]
      ) { $1 }
    }

    /// The script takes four ports from one number on.
    private static func freePorts() throws -> Int {
      for _ in 0..<50 {
        let first = try Command.freePort()
        if first < 60_000, [1, 12, 440].allSatisfy({ Command.isFree(port: first + $0) }) { return first }
      }
      throw StoryError("no four free ports were found")
    }

    func leftovers() -> [String] {
      let left = TestFleet.leftovers(of: id, in: folder)
      let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
      return left + files.filter { $0.hasPrefix("wherry-quickstart") }
    }
  }

  private static func skips() -> Bool {
    guard let obstacle = TestFleet.obstacle() else { return false }
    print("SKIPPED the quickstart: \(obstacle)")
    return true
  }

  @Test func onceRollsOutToThreeDevicesAndTakesEverythingDown() throws {
    if Self.skips() { return }
    let place = try Place()
    let outcome = try Command.run([Self.script, "--once"], environment: place.environment)
    try #require(outcome.status == 0, "\(outcome.text)")
    for index in 1...3 {
      let row = outcome.output.split(separator: "\n").last { $0.hasPrefix("kiosk-\(index) ") && $0.contains("RUNNING") }
      let cells = try #require(row, "no row for kiosk-\(index): \(outcome.output)")
      #expect(cells.components(separatedBy: "1.0.0 RUNNING").count == 3, "both components run: \(cells)")
      #expect(outcome.output.contains("kiosk-\(index) http://10.\(TestFleet.network).\(index).1:8080 answers:"))
    }
    #expect(outcome.output.contains("Dashboard: https://127.0.0.1:\(place.port)/"))
    #expect(place.leftovers() == [])
    try? FileManager.default.removeItem(atPath: place.folder)
  }

  @Test func itStaysUpUntilControlCAndASecondOneDoesNotDisturbTheTakeDown() throws {
    if Self.skips() { return }
    let place = try Place()
    let log = place.folder + "/output"
    let started = ChildProcess(
      "/bin/bash", [Self.script], outputPath: log, environment: place.environment, hasOwnGroup: true)
    let quickstart = try #require(started)
    try Command.eventually("the quickstart is up", seconds: 120) {
      Command.text(log).contains("Ctrl-C takes everything down")
    }
    let address = "http://10.\(TestFleet.network).1.1:8080/"
    let page = try Command.run(["/usr/bin/curl", "-sS", "--fail", "--max-time", "5", address])
    #expect(page.output.contains("com.example.web 1.0.0"), "\(page.text)")

    kill(-quickstart.processID, SIGINT)
    try Command.eventually("it takes everything down") { Command.text(log).contains("Taking everything down") }
    kill(-quickstart.processID, SIGINT)
    #expect(quickstart.wait() == 130)
    #expect(place.leftovers() == [], "\(Command.text(log))")
    try? FileManager.default.removeItem(atPath: place.folder)
  }

  @Test func aMissingToolchainIsOneSentence() throws {
    let place = try Place()
    let path = place.folder + "/bin"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // Everything but Swift.
    for folder in ["/usr/bin", "/bin"] {
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) where !name.hasPrefix("swift") {
        try? FileManager.default.createSymbolicLink(atPath: path + "/" + name, withDestinationPath: "\(folder)/\(name)")
      }
    }
    let bash = try #require(
      ChildProcess(
        "/bin/bash", [Self.script, "--once"], outputPath: place.folder + "/output", environment: ["PATH": path]))
    #expect(bash.wait() == 1)
    let said = Command.text(place.folder + "/output")
    #expect(said.contains("no Swift toolchain on the PATH; install Swift 6.3"), "\(said)")
    #expect(said.split(separator: "\n").count == 1, "\(said)")
    try? FileManager.default.removeItem(atPath: place.folder)
  }
}
