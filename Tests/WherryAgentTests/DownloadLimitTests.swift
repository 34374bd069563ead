import Glibc
import Testing
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryAgent

/// What a device's owner allows of disk, network and day.
@Suite struct DownloadLimitTests {
  private static func parse(_ text: String) throws -> AgentConfiguration {
    try AgentConfiguration(parsing: text, fileName: "agent.conf", programs: "/usr/bin")
  }

  private static func configured(_ change: @escaping (inout DownloadLimits) -> Void) throws -> Bench {
    let bench = try Bench(configure: { change(&$0.downloads) })
    bench.start()
    bench.connect()
    return bench
  }

  private static func component(_ name: String, _ content: String) -> (component: PlannedComponent, bytes: [UInt8]) {
    let (artifact, bytes) = Bench.artifact("\(name).bin", content)
    var component = Bench.process(ComponentName(trusted: "com.example.\(name)"))
    component.artifacts = [artifact]
    return (component, bytes)
  }

  // MARK: agent.conf

  @Test func limitsAreReadFromTheConfiguration() throws {
    let limits = try Self.parse(
      "disk_budget = 2GiB\ndisk_headroom = 100MB\ndownload_rate = 500kB/s\ndownload_windows = Sat,Sun 00:00-24:00"
        + "\napply_windows = 02:00-04:00"
    ).downloads
    #expect(limits.diskBudget == 2 << 30 && limits.diskHeadroom == 100_000_000 && limits.bytesPerSecond == 500_000)
    #expect(limits.windows?.text == "Sat,Sun 00:00-24:00" && limits.applyWindows?.text == "02:00-04:00")
    #expect(try Self.parse("").downloads == DownloadLimits())
  }

  @Test(arguments: [
    ("disk_budget = 0", "disk_budget \"0\" is not a size"), ("disk_headroom = much", "is not a size"),
    ("download_rate = 5mib/s", "is not a size"), ("download_windows = 25:00-26:00", "is not a window"),
    ("apply_windows = never", "apply_windows: \"never\" is not a window"),
    ("download_speed = 5", "the key \"download_speed\" is not known"),
  ]) func whatCannotBeMeantIsRefused(text: String, sentence: String) throws {
    let failure = try #require(throws: Failure.self) { try Self.parse(text) }
    #expect(failure.description.contains(sentence) && failure.message.contains("agent.conf, line 1"), "\(failure)")
  }

  @Test func theRateGoesToTheWorker() throws {
    let bench = try Self.configured { $0.bytesPerSecond = 70_000 }
    bench.order(bench.message(bench.plan([Self.component("a", "x").component]), generation: 1))
    #expect(bench.worker.jobs.first?.job["bytesPerSecond"] == 70_000)
  }

  @Test func headroomAndWhatTheBudgetLeavesGoToTheWorkers() throws {
    let bench = try Self.configured {
      $0.diskHeadroom = 12_345
      $0.diskBudget = 300_000_000
    }
    var (component, bytes) = Self.component("a", "x")
    component.artifacts[0].unarchive = .zip
    bench.worker.blobs[component.artifacts[0].digest.description] = bytes
    bench.order(bench.message(bench.plan([component]), generation: 1))
    let jobs = bench.worker.jobs
    #expect(jobs.first { $0.mode == .download }?.job["headroom"] == 12_345)
    let item = jobs.first { $0.mode == .unpack }?.job["items"]?.arrayValue?.first
    #expect(item?["headroom"] == 12_345)
    let left = item?["bytesMaximum"]?.integerValue ?? 0
    #expect((299_000_000...300_000_000).contains(left), "what is there already is not left: \(left)")
  }

  // MARK: Disk

  @Test func aBudgetCountsWhatIsThereAlready() throws {
    let bench = try Self.configured { $0.diskBudget = 300_000 }
    let first = Self.component("first", String(repeating: "a", count: 60_000))
    let second = Self.component("second", String(repeating: "b", count: 90_000))
    for (component, bytes) in [first, second] {
      bench.worker.blobs[component.artifacts[0].digest.description] = bytes
    }
    bench.order(bench.message(bench.plan([first.component]), generation: 1))
    bench.run(milliseconds: 3_000)
    #expect(bench.reports.last?.status == .committed)
    // A blob and its copy are there, and as much again and more is wanted.
    bench.order(bench.message(bench.plan([first.component, second.component]), generation: 2))
    bench.run(milliseconds: 3_000)
    let failure = try #require(bench.reports.last?.failure)
    #expect(bench.reports.last?.status == .failed && failure.code == "space.short")
    #expect(failure.message.contains("of the budget of 292 KiB are used"), "\(failure)")
    #expect(failure.message.contains("nothing is there that only older states need"), "\(failure)")
    #expect(bench.worker.downloaded.count == 1, "nothing is begun that cannot be finished")
    #expect(bench.runner.alive == ["com.example.first.run"])
  }

  @Test func whatOnlyTheStateBeforeNeedsMakesRoom() throws {
    let bench = try Self.configured { $0.diskBudget = 450_000 }
    let made = (1...3).map { Self.component("app\($0)", String(repeating: "\($0)", count: 90_000)) }
    for (component, bytes) in made { bench.worker.blobs[component.artifacts[0].digest.description] = bytes }
    for (index, entry) in made.enumerated() {
      bench.order(bench.message(bench.plan([entry.component]), generation: Int64(index + 1)))
      bench.run(milliseconds: 4_000)
      #expect(bench.reports.last?.status == .committed, "\(bench.reports.last?.failure?.message ?? "")")
    }
    // The third had no room beside the first two; the second is what one goes back to, and stayed.
    let blobs = made.map { bench.paths.blob($0.component.artifacts[0].digest) }
    #expect(blobs.map { TestFile.exists($0) } == [false, true, true])
  }

  /// Half of a snapshot in its place would be taken for the whole.
  @Test func whatMakesRoomLeavesItsPlaceBeforeItIsRemoved() throws {
    let bench = try Bench()
    bench.worker.isWorking = false
    let spare = bench.directory.file("lib/artifacts/com.example.old/1.0.0-x")
    for index in 0..<600 { TestFiles.write([1], to: "\(spare)/files/\(index)") }
    var limits = DownloadLimits()
    limits.diskHeadroom = 1 << 52
    let account = UserAccount(name: "tester", user: getuid(), group: getgid())
    let jobs = FetchJobs(identity: bench.engine.identity, paths: bench.paths, account: account)
    let task = FetchTask(
      generation: Generation(7), plan: bench.plan([Self.component("new", "x").component]), jobs: jobs,
      worker: bench.worker, owner: account, demands: .init(limits: limits, spare: { [spare] }))
    #expect(task.advance(now: .zero).isEmpty && !TestFile.exists(spare), "nothing of it is removed yet")
    #expect(TestFile.exists("\(bench.paths.trash)/spare-7-0/files/599"))
    for _ in 0..<20 where TestFile.exists("\(bench.paths.trash)/spare-7-0") { _ = task.advance(now: .zero) }
    #expect(!TestFile.exists("\(bench.paths.trash)/spare-7-0"))
  }

  @Test func whatAnEarlierRemovalLeftInTheTrashIsInNobodysWay() throws {
    let directory = TemporaryDirectory()
    let trash = Trash(directory: directory.file("trash"))
    var targets: [String] = []
    for content in 1...3 {
      TestFiles.write([UInt8(content)], to: directory.file("place/file"))
      targets.append(try #require(try trash.take(directory.file("place"), as: "spare-7-0")))
    }
    #expect(targets == ["spare-7-0", "spare-7-0.1", "spare-7-0.2"].map { "\(trash.directory)/\($0)" })
    #expect(targets.map { TestFile.read("\($0)/file") } == [[1], [2], [3]])
    #expect(try trash.take(directory.file("place"), as: "spare-7-0") == nil, "there is nothing any more")
  }

  @Test func aHeadroomBeyondTheDiskLeavesNoRoom() throws {
    let bench = try Self.configured { $0.diskHeadroom = 1 << 52 }
    bench.order(bench.message(bench.plan([Self.component("a", "x").component]), generation: 1))
    bench.settle()
    #expect(bench.reports.last?.failure?.code == "space.short")
    #expect(bench.reports.last?.failure?.message.contains("have to stay so") == true)
    #expect(bench.worker.jobs.isEmpty)
  }

  @Test func aTreeIsMeasuredOnceForEachFile() {
    let directory = TemporaryDirectory()
    TestFiles.write([UInt8](repeating: 1, count: 50_000), to: directory.file("tree/a/one"))
    let alone = DiskMeasure.bytes(of: [directory.file("tree")])
    #expect(alone >= 50_000)
    #expect(link(directory.file("tree/a/one"), directory.file("tree/a/two")) == 0)
    symlink("/usr", directory.file("tree/a/link"))
    #expect(DiskMeasure.bytes(of: [directory.file("tree")]) <= alone + 8_192, "neither twice nor through links")
    #expect(DiskMeasure.bytes(of: [directory.file("none")]) == 0)
  }

  // MARK: Windows

  /// Tests run in any time zone: a window is made around the bench's own time.
  private static func window(_ bench: Bench, opensIn minutes: Int64, forMinutes length: Int64) -> WeeklyWindows? {
    let minute = DownloadLimits.secondOfWeek(bench.clock.wall) / 60
    func text(_ minute: Int64) -> String {
      let day = (minute % 1_440 + 1_440) % 1_440
      return "\(day / 60 < 10 ? "0" : "")\(day / 60):\(day % 60 < 10 ? "0" : "")\(day % 60)"
    }
    return try? WeeklyWindows(parsing: "\(text(minute + minutes))-\(text(minute + minutes + length))")
  }

  @Test func aDownloadWaitsForItsWindowAndRunningComponentsDoNotNotice() throws {
    let probe = try Bench()
    let windows = try #require(Self.window(probe, opensIn: 30, forMinutes: 60))
    let bench = try Self.configured { $0.windows = windows }
    let (component, bytes) = Self.component("model", "weights")
    bench.worker.blobs[component.artifacts[0].digest.description] = bytes
    bench.order(bench.message(bench.plan([Bench.process("com.example.kept")]), generation: 1))
    bench.run(milliseconds: 3_000)
    #expect(bench.reports.last?.status == .committed, "nothing was to be downloaded")
    bench.order(bench.message(bench.plan([Bench.process("com.example.kept"), component]), generation: 2))
    let report = try #require(bench.reports.last)
    #expect(report.status == .fetching && report.failure?.code == "download.window")
    #expect(report.failure?.message.contains(windows.text) == true)
    #expect(bench.worker.jobs.isEmpty && bench.runner.alive == ["com.example.kept.run"])
    bench.clock.advance(milliseconds: 29 * 60_000)
    bench.settle()
    #expect(bench.worker.jobs.isEmpty)
    bench.clock.advance(milliseconds: 2 * 60_000)
    bench.run(milliseconds: 4_000)
    #expect(bench.reports.last?.status == .committed)
  }

  @Test func aWindowThatShutsEndsTheWorkerAndKeepsWhatCame() throws {
    let probe = try Bench()
    let windows = try #require(Self.window(probe, opensIn: -10, forMinutes: 20))
    let bench = try Self.configured { $0.windows = windows }
    bench.worker.isWorking = false
    let (component, bytes) = Self.component("model", "weights")
    bench.order(bench.message(bench.plan([component]), generation: 1))
    let partial = "\(bench.paths.incoming)/\(component.artifacts[0].digest.hex)"
    TestFiles.write([1, 2], to: partial)
    #expect(bench.worker.runs.count == 1)
    bench.clock.advance(milliseconds: 11 * 60_000)
    bench.settle()
    #expect(bench.worker.runs.first?.isCancelled == true && TestFile.exists(partial))
    #expect(bench.reports.last?.failure?.code == "download.window")
    // Also across a restart of the agent.
    try bench.crash()
    bench.connect()
    #expect(bench.worker.runs.count == 1)
    bench.worker.isWorking = true
    bench.worker.blobs[component.artifacts[0].digest.description] = bytes
    bench.clock.advance(milliseconds: 24 * 3_600_000 - 10 * 60_000)
    bench.run(milliseconds: 4_000)
    #expect(
      bench.reports.last?.status == .committed,
      "\(bench.reports.map { "\($0.status as Any) \($0.failure?.code ?? "")" })")
  }

  @Test func aChangeWaitsForItsWindowWithEverythingInPlace() throws {
    let probe = try Bench()
    let windows = try #require(Self.window(probe, opensIn: 150, forMinutes: 60))
    let bench = try Self.configured { $0.applyWindows = windows }
    let (component, bytes) = Self.component("model", "weights")
    bench.worker.blobs[component.artifacts[0].digest.description] = bytes
    bench.order(bench.message(bench.plan([component]), generation: 1))
    bench.run(milliseconds: 3_000)
    let report = try #require(bench.reports.last)
    #expect(report.status == .fetching && report.failure?.code == "deployment.window")
    #expect(report.failure?.message.contains(windows.text) == true)
    let opens = report.resumesAt.map { $0.milliseconds(since: bench.clock.wall) } ?? 0
    #expect((148 * 60_000...150 * 60_000).contains(opens), "in the time of the day, not of the boot: \(opens)")
    #expect(bench.worker.downloaded.count == 1 && bench.runner.alive.isEmpty)
    // It looks again now and then, since the clock may be set, and is started anew meanwhile.
    bench.clock.advance(milliseconds: 70 * 60_000)
    bench.run(milliseconds: 3_000)
    try bench.crash()
    bench.connect()
    bench.run(milliseconds: 3_000)
    #expect(bench.reports.last?.failure?.code == "deployment.window" && bench.runner.alive.isEmpty)
    bench.clock.advance(milliseconds: 85 * 60_000)
    bench.run(milliseconds: 4_000)
    #expect(bench.reports.last?.status == .committed && bench.reports.last?.resumesAt == nil)
    #expect(bench.worker.downloaded.count == 1)
  }

  // MARK: Progress

  @Test func eachLayersBytesAreReported() throws {
    let bench = try Self.configured { _ in }
    bench.worker.isWorking = false
    bench.order(bench.message(bench.plan([Self.component("model", "weights").component]), generation: 1))
    let active: JSON = [
      ["label": "model 1/2", "done": 3, "total": 4], ["label": "model 2/2", "done": 5, "total": 4], ["label": 7],
    ]
    bench.clock.advance(milliseconds: 3_000)
    bench.worker.runs.first?.events = [.line(["progress": ["done": 3, "total": 7, "active": active]])]
    bench.settle()
    #expect(bench.reports.last?.transfers == [Transfer(label: "model 1/2", bytesDone: 3, bytesTotal: 4)])
    #expect(bench.reports.last?.bytesDone == 3)
  }
}
