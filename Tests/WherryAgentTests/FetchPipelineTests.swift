import Glibc
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

@testable import WherryAgent

/// Download, unpacking and copying at the same time, with workers that do what the test says and nothing by themselves.
@Suite struct FetchPipelineTests {
  private let bench: Bench
  private let web: PlannedComponent
  private let ai: PlannedComponent
  private let weights: [UInt8]

  /// A container with a small and a large layer, and a process with an artifact.
  init() throws {
    bench = try Bench()
    bench.worker.isWorking = false
    var web = Bench.container("com.example.web")
    web.image?.layers.append(
      PlannedLayer(
        digest: SHA256.digest(of: "large layer"), size: 70, compression: .zstd, diffID: SHA256.digest(of: "large diff"))
    )
    self.web = web
    let (artifact, bytes) = Bench.artifact("model.bin", "weights")
    var ai = Bench.process("com.example.ai")
    ai.artifacts = [artifact]
    (self.ai, weights) = (ai, bytes)
    bench.start()
    bench.connect()
  }

  private var layers: [PlannedLayer] { web.image?.layers ?? [] }
  private var download: FakeWorker.Run? { bench.worker.runs.first }
  private var unpack: FakeWorker.Run? { bench.worker.runs.dropFirst().first }

  private func begin(_ components: [PlannedComponent]) {
    bench.order(bench.message(bench.plan(components), generation: 1))
  }

  private func bring(_ digest: Digest, _ bytes: [UInt8] = [1]) {
    TestFiles.write(bytes, to: bench.paths.blob(digest))
    download?.events.append(.line(["finished": .string(digest.description)]))
    bench.settle()
  }

  private func unpacked(_ layer: PlannedLayer) {
    TestFiles.makeDirectories(bench.paths.snapshot(layer.diffID))
    unpack?.events.append(.line(["finished": .string(bench.paths.snapshot(layer.diffID))]))
    bench.settle()
  }

  private func end(_ run: FakeWorker.Run?, failure: Failure? = nil) {
    if let failure {
      run?.events += [.line(["failed": failure.json]), .ended(isSuccess: false, detail: "exit 1")]
    } else {
      run?.events.append(.ended(isSuccess: true, detail: "exit 0"))
    }
    bench.settle()
  }

  @Test func aLayerIsUnpackedWhileAnotherStillComes() throws {
    begin([web])
    #expect(bench.worker.jobs.map(\.mode) == [.download, .unpack])
    let job = try #require(bench.worker.jobs.last?.job)
    #expect(job["waits"] == true && job["parallel"] == 2)
    bring(layers[1].digest)
    unpacked(layers[1])
    #expect(bench.runner.launches.isEmpty, "the other layer is still on its way")
    bring(layers[0].digest)
    end(download)
    #expect(bench.runner.launches.isEmpty, "it is here, and not unpacked")
    unpacked(layers[0])
    end(unpack)
    #expect(bench.runner.launches == ["com.example.web.run"])
    for layer in layers { #expect(!TestFile.exists(bench.paths.blob(layer.digest)), "it is not kept twice") }
  }

  @Test func theLargestBlobsComeFirst() {
    begin([web])
    let digests = bench.worker.jobs.first?.job["items"]?.arrayValue?.compactMap { $0["digest"]?.stringValue }
    #expect(digests == [layers[1], layers[0]].map(\.digest.description))
    let diffs = bench.worker.jobs.last?.job["items"]?.arrayValue?.compactMap { $0["diffID"]?.stringValue }
    #expect(diffs == [layers[1], layers[0]].map(\.diffID.description))
  }

  @Test func anUnpackerWaitsForNothingThatIsThereAlready() {
    for layer in layers { TestFiles.write([1], to: bench.paths.blob(layer.digest)) }
    begin([web])
    #expect(bench.worker.jobs.map(\.mode) == [.unpack])
    #expect(bench.worker.jobs.last?.job["waits"] == false)
  }

  @Test func anArtifactIsCopiedAsSoonAsItIsThere() throws {
    begin([web, ai])
    let artifact = try #require(ai.artifacts.first)
    let copy = "\(bench.paths.artifacts(ai)).partial/files/model.bin"
    #expect(!TestFile.exists(copy))
    bring(artifact.digest, weights)
    #expect(TestFile.read(copy) == weights)
    #expect(bench.runner.launches.isEmpty)
  }

  @Test(arguments: [0, 1]) func whenOneWorkerFailsTheOtherIsEnded(_ failing: Int) {
    begin([web])
    let failure = Failure(.verify, code: "layer.corrupt", message: "the layer is broken", remedy: "build it again")
    let runs = bench.worker.runs
    #expect(runs.count == 2)
    end(runs[failing], failure: failure)
    #expect(runs[1 - failing].isCancelled)
    #expect(bench.reports.last?.failure?.code == "layer.corrupt")
    #expect(bench.runner.launches.isEmpty)
  }

  @Test func aFetchThatIsNoLongerWantedEndsBothWorkers() {
    begin([web])
    bring(layers[1].digest)
    bench.order(bench.message(bench.plan([Bench.process("com.example.other")]), generation: 2))
    #expect(bench.worker.runs.map(\.isCancelled) == [true, true])
    #expect(bench.runner.launches == ["com.example.other.run"])
  }

  @Test func aDownloadThatLeavesSomethingOutIsAFailureAndNothingWaitsForIt() {
    begin([web])
    bring(layers[1].digest)
    end(download)
    #expect(unpack?.isCancelled == true)
    #expect(bench.reports.last?.failure?.code == "worker.failed")
    #expect(bench.reports.last?.failure?.message.contains("layer 1/2") == true)
  }

  @Test(arguments: [0, 1]) func aFullDiskIsRidOfWhatCannotBeUsedAndWhatRunsGoesOn(_ failing: Int) {
    begin([Bench.process("com.example.kept")])
    bench.run(milliseconds: 2_000)
    bench.order(bench.message(bench.plan([Bench.process("com.example.kept"), web, ai]), generation: 2))
    let halfDone = [
      "\(bench.paths.incoming)/\(layers[0].digest.hex)", bench.paths.snapshot(layers[1].diffID) + ".partial/tree/etc",
      bench.paths.artifacts(ai) + ".partial/files/model.bin",
    ]
    for path in halfDone { TestFiles.write([1], to: path) }
    let runs = bench.worker.runs
    #expect(runs.count == 2)
    end(runs[failing], failure: Failure(.space, code: "space.full", message: "the disk is full", remedy: "free some"))
    #expect(runs[1 - failing].isCancelled)
    for path in halfDone { #expect(!TestFile.exists(path), "\(path)") }
    #expect(bench.reports.last?.failure?.code == "space.full")
    #expect(bench.runner.alive == ["com.example.kept.run"])
  }

  @Test func whatALastProgressSaidIsHeardBeforeTheFailure() {
    begin([web])
    download?.events.append(.line(["progress": ["done": 70, "total": 77]]))
    end(download, failure: Failure(.download, code: "download.truncated", message: "cut", remedy: "wait"))
    #expect(bench.reports.last?.bytesDone == 70)
  }

  @Test func progressAndItemsAreToldApart() {
    let run = FakeWorker.Run([
      .line(["finished": "sha256:1"]), .line(["progress": ["done": 1, "total": 2]]), .line(["finished": 5]),
    ])
    let outcomes = WorkerSession(run).advance(now: .zero)
    #expect(outcomes.count == 2)
    guard case .item("sha256:1") = outcomes.first else {
      Issue.record("not an item: \(outcomes)")
      return
    }
  }
}
