import Glibc
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@testable import WherryAgent

/// The parts of a fetch: what it needs of the disk, what it copies, and what its workers get.
@Suite struct FetchTests {
  private static func component(_ artifact: PlannedArtifact) -> PlannedComponent {
    var component = Bench.process("com.example.ai")
    component.artifacts = [artifact]
    return component
  }

  // MARK: Space

  @Test func whatADownloadReservedIsNotNeededTwice() throws {
    let bench = try Bench()
    let (artifact, _) = Bench.artifact("model.bin", String(repeating: "x", count: 1_000))
    let plan = bench.plan([Self.component(artifact)])
    let partial = "\(bench.paths.incoming)/\(artifact.digest.hex)"
    func needed(allocated: Int64) -> Int64 {
      FetchWork(
        for: plan, paths: bench.paths, exists: { _ in false }, allocated: { $0 == partial ? allocated : 0 }
      ).bytesNeeded
    }
    // To be downloaded, and to be copied to its place.
    #expect(needed(allocated: 0) == 2_000)
    #expect(needed(allocated: 400) == 1_600)
    #expect(needed(allocated: 1_000) == 1_000)
    #expect(needed(allocated: 1_000_000) == 1_000)
  }

  @Test func anImageThatAScriptRunsIsFetchedAndKept() throws {
    let bench = try Bench()
    var component = Bench.process("com.example.ai")
    component.images = [try #require(Bench.container("com.example.ai").image)]
    let layer = component.images[0].layers[0]
    let plan = bench.plan([component])
    let work = FetchWork(for: plan, paths: bench.paths, exists: { _ in false })
    #expect(work.downloads.map(\.digest) == [layer.digest] && work.layers.map(\.layer) == [layer])
    #expect(plan.blobs.isSuperset(of: [layer.digest, component.images[0].manifest]))
    TestFiles.makeDirectories(bench.paths.snapshot(layer.diffID))
    func garbage(_ plans: [Plan]) -> [String] {
      GarbageCollector(paths: bench.paths, plans: plans, identities: [:]).garbage()
    }
    #expect(garbage([plan]) == [])
    #expect(garbage([]) == [bench.paths.snapshot(layer.diffID)])
  }

  @Test func whatAFileHoldsOfTheDiskIsAskedOfTheDisk() {
    let directory = TemporaryDirectory()
    let path = directory.file("partial")
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    #expect(ftruncate(descriptor, 1 << 20) == 0)
    #expect(FetchWork.allocatedBytes(path) == 0, "a hole holds nothing")
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }
    #expect(write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0)
    #expect(FetchWork.allocatedBytes(path) > 0)
    #expect(FetchWork.allocatedBytes(directory.file("none")) == 0)
    #expect(FetchWork.allocatedBytes(directory.path) == 0)
  }

  /// Unmounted with this object.
  private final class SmallDisk {
    private let path: String

    init?(_ path: String, mebibytes: Int) {
      mkdir(path, 0o755)
      self.path = path
      guard geteuid() == 0, mount("tmpfs", path, "tmpfs", 0, "size=\(mebibytes)m") == 0 else { return nil }
    }

    deinit { umount2(path, Int32(MNT_DETACH)) }
  }

  @Test func aDroppedDownloadGoesOnWhereItsSpaceIsTakenAlready() throws {
    let directory = TemporaryDirectory()
    guard let disk = SmallDisk(directory.file("lib"), mebibytes: 18) else {
      return print("SKIPPED the dropped download on a small disk: only root may mount one")
    }
    try withExtendedLifetime(disk) {
      let bench = try Bench(directory: directory)
      let (artifact, bytes) = Bench.artifact("model.bin", String(repeating: "x", count: 4 << 20))
      bench.worker.isWorking = false
      bench.start()
      bench.connect()
      bench.order(bench.message(bench.plan([Self.component(artifact)]), generation: 1))
      #expect(bench.worker.jobs.map(\.mode) == [.download])
      // Twice the size no longer fits once the partial file is there: 18 MiB less 8 to be left free, less 4.
      let partial = "\(bench.paths.incoming)/\(artifact.digest.hex)"
      TestFile.write(bytes, to: partial)
      bench.worker.runs.last?.events = [
        .line(["failed": bench.worker.failure.json]), .ended(isSuccess: false, detail: "exit 1"),
      ]
      bench.settle()
      #expect(bench.reports.last?.failure?.code == "download.unreachable")
      #expect(TestFile.exists(partial))
      bench.worker.isWorking = true
      bench.worker.blobs[artifact.digest.description] = bytes
      bench.run(milliseconds: 5_000)
      #expect(bench.reports.last?.status == .committed, "\(bench.reports.last?.failure?.description ?? "")")
    }
  }

  @Test func whatAnEarlierTryLeftIsGoneBeforeTheSpaceIsCounted() throws {
    let bench = try Bench()
    bench.worker.isWorking = false
    let web = Bench.container("com.example.web")
    let layer = try #require(web.image?.layers.first)
    let ai = Self.component(Bench.artifact("model.bin", "weights").artifact)
    let leftovers = [
      bench.paths.artifacts(ai) + ".partial/files/old", bench.paths.snapshot(layer.diffID) + ".partial/etc/old",
    ]
    for path in leftovers { TestFiles.write([1], to: path) }
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([web, ai]), generation: 1))
    #expect(bench.worker.jobs.map(\.mode) == [.download, .unpack])
    for path in leftovers { #expect(!TestFile.exists(path), "\(path)") }
  }

  // MARK: Artifacts

  @Test func anArtifactIsCopiedAndBroughtToTheDiskInBoundedSteps() throws {
    let directory = TemporaryDirectory()
    let step = Int64(ArtifactCopy.bytesPerStep)
    let content = [UInt8](repeating: 7, count: 3 * ArtifactCopy.bytesPerStep + 5)
    let artifact = PlannedArtifact(fileName: "model", digest: SHA256.digest(of: content), size: Int64(content.count))
    let target = directory.file("model")
    TestFile.write(content, to: directory.file("blob"))
    var synced: [Int64] = []
    let copy = ArtifactCopy(
      from: directory.file("blob"), to: target, artifact: artifact,
      owner: UserAccount(name: "tester", user: getuid(), group: getgid()),
      sync: { descriptor in
        synced.append(Files.size(target) ?? -1)
        return fdatasync(descriptor)
      })
    var copied: [Int64] = []
    while try !copy.step() { copied.append(Files.size(target) ?? -1) }
    #expect(copied == [step, 2 * step, 3 * step])
    #expect(synced == copied, "what is left to the last sync is one step's at most")
    #expect(step <= 2 << 20, "a tenth of a second on flash that takes 20 MB/s")
    #expect(TestFile.read(target) == content)
  }

  @Test func anArchiveIsUnpackedByWhatWasSigned() throws {
    let bench = try Bench()
    let made = Bench.artifact("model.tar.gz", "archive")
    var artifact = made.artifact
    artifact.unarchive = .tar
    bench.worker.blobs[artifact.digest.description] = made.bytes
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([Self.component(artifact)]), generation: 1))
    #expect(bench.worker.jobs.map(\.mode) == [.download, .unpack])
    let item = try #require(bench.worker.jobs.last?.job["items"]?.arrayValue?.first)
    #expect(item["digest"] == .string(artifact.digest.description) && item["size"] == .integer(7))
    #expect(item["kind"] == "tar" && item["destination"]?.stringValue?.hasSuffix(".partial/unpacked/model") == true)
  }

  // MARK: Workers

  @Test func progressThatCannotBeIsNotPassedOn() {
    let nonsense: [JSON] = [
      ["done": -1, "total": 5], ["done": 6, "total": 5], ["done": 1, "total": .integer(1 << 60)], ["done": 1],
      ["done": "1", "total": 5],
    ]
    let events = (nonsense + [["done": 1, "total": 5]]).map { WorkerEvent.line(["progress": $0]) }
    let outcomes = WorkerSession(FakeWorker.Run(events)).advance(now: .zero)
    #expect(outcomes.count == 1)
  }

  /// A connection that libmosquitto opened has no close-on-exec flag either.
  @Test func aWorkerGetsNoDescriptorOfTheAgentsOwn() throws {
    let directory = TemporaryDirectory()
    let secret = directory.file("secret")
    let descriptor = open(secret, O_RDWR | O_CREAT, 0o600)
    defer { close(descriptor) }
    let (program, list) = (directory.file("fetch"), directory.file("list"))
    TestFile.write(Array("#!/bin/sh\nls -l /proc/self/fd >'\(list)'\n".utf8), to: program)
    chmod(program, 0o755)
    let run = try ProcessWorker(program: program, directory: directory.path).start(.unpack, job: [:])
    var now = Instant(milliseconds: 1)
    var hasEnded = false
    for _ in 0..<1_000 where !hasEnded {
      var entry = pollfd(fd: run.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, run.descriptor < 0 ? 5 : 1_000)
      hasEnded = run.readEvents(now: now).contains(.ended(isSuccess: true, detail: "it exited with code 0"))
      now = now.advanced(byMilliseconds: 100)
    }
    #expect(hasEnded)
    let files = String(decoding: TestFile.read(list) ?? [], as: UTF8.self)
    #expect(files.contains(list), "it lists its own output")
    #expect(!files.contains(secret), "\(files)")
  }
}
