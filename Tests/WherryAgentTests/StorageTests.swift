import Glibc
import Testing
import WherryAgent
import WherryIsolation
import WherryModel
import WherryTestSupport

/// What the agent makes on the disk for components, and who gets at it.
@Suite struct StorageTests {
  /// A device with one container that has one named volume.
  private struct Device {
    let bench: Bench
    let component: String
    let data: String
    let volume: String

    init() throws {
      bench = try Bench()
      component = bench.paths.components + "/com.example.database"
      data = component + "/data"
      volume = data + "/main"
      bench.start()
      bench.connect()
      start(Version(1, 0, 0), generation: 1)
    }

    func start(_ version: Version, generation: Int64) {
      var database = Bench.container("com.example.database", version: version)
      database.container?.user = "\(getuid()):\(getgid())"
      database.container?.volumes = [Volume(source: .named("main"), path: "/var/lib/data")]
      for layer in database.image?.layers ?? [] { bench.worker.blobs[layer.digest.description] = [1] }
      bench.order(bench.message(bench.plan([database]), generation: generation))
      bench.run(milliseconds: 3_000)
    }

    func startAgain() { start(Version(1, 1, 0), generation: 2) }

    var starts: Int { bench.runner.specs.count }

    func mode(_ path: String) -> mode_t? {
      var status = stat()
      return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }
  }

  @Test func aVolumeKeepsTheModeThatItsComponentGaveIt() throws {
    let device = try Device()
    #expect(device.starts == 1 && device.mode(device.volume) == 0o755)
    chmod(device.volume, 0o700)
    device.startAgain()
    #expect(device.starts == 2 && device.mode(device.volume) == 0o700)
  }

  @Test func nobodyButTheAgentGetsToAVolume() throws {
    let device = try Device()
    for path in [device.bench.paths.components, device.component, device.data] {
      #expect(device.mode(path) == 0o700, "\(path)")
    }
  }

  @Test func whatAnEarlierAgentLeftOpenIsClosedAndTheVolumeLeftAlone() throws {
    let device = try Device()
    TestFile.write([7], to: device.volume + "/table")
    for path in [device.component, device.data] { chmod(path, 0o755) }
    chmod(device.volume, 0o2750)
    device.startAgain()
    #expect(device.starts == 2)
    #expect(device.mode(device.component) == 0o700 && device.mode(device.data) == 0o700)
    #expect(device.mode(device.volume) == 0o2750)
    #expect(TestFile.read(device.volume + "/table") == [7])
  }

  @Test func aVolumeWhoseMakingWasCutOffIsMadeAgain() throws {
    let device = try Device()
    #expect(rename(device.volume, device.data + "/.new-main") == 0)
    chmod(device.data + "/.new-main", 0)
    device.startAgain()
    #expect(device.starts == 2 && device.mode(device.volume) == 0o755)
    #expect(device.mode(device.data + "/.new-main") == nil)
  }

  @Test func aFileInAVolumesPlaceIsRefused() throws {
    let device = try Device()
    #expect(rmdir(device.volume) == 0)
    TestFile.write([1], to: device.volume)
    device.startAgain()
    #expect(device.starts == 1)
    #expect(device.bench.reports.contains { $0.failure?.message.contains(device.volume) == true })
  }

  @Test func aProcessSeesNothingOfOthersAndHasLimits() throws {
    let bench = try Bench()
    bench.start()
    bench.connect()
    var app = Bench.process("com.example.app")
    app.resources = Resources(cpuMillis: 500, memoryBytes: 64 << 20)
    bench.order(bench.message(bench.plan([app]), generation: 1))
    let spec = try #require(bench.runner.specs.last)
    guard case .host(_, let hidden) = spec.root else {
      Issue.record("not on the host's root")
      return
    }
    let root = bench.paths.root
    let kept = [
      bench.paths.components, bench.paths.artifacts, bench.paths.snapshots, root + "/trust", root + "/agent.db",
      root + "/agent.db-wal", root + "/agent.db-shm", root + "/blobs", root + "/trash", bench.paths.run,
    ]
    #expect(Set(hidden) == Set(kept))
    #expect(spec.resources == Resources(cpuMillis: 500, memoryBytes: 64 << 20))
    #expect(spec.pidsWanted == 1024)
  }
}
