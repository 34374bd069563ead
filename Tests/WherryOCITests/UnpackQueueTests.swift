import Glibc
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// `wherry-fetch unpack` while blobs still come, beside another of its kind, and when it is ended in the middle.
@Suite struct UnpackQueueTests {
  private let directory = TemporaryDirectory()

  init() { mkdir(directory.file("blobs"), 0o755) }

  private func layer(_ name: String) throws -> TestLayer {
    var tar = TarBuilder()
    tar.directory("etc")
    tar.file("etc/name", name)
    return try TestLayer(tar.archive, .gzip)
  }

  private func blob(_ name: String) -> String { directory.file("blobs/\(name)") }
  private func place(_ name: String) -> String { directory.file(name) }

  private func item(_ name: String, _ layer: TestLayer) -> JSON {
    [
      "blob": .string(blob(name)), "destination": .string(place(name)), "kind": "layer",
      "label": .string("com.example.web layer \(name)"), "compression": .string(layer.compression.rawValue),
      "diffID": .string(layer.diffID.description),
    ]
  }

  /// As a download does it.
  private func bring(_ name: String, _ layer: TestLayer) {
    TestFile.write(layer.blob, to: directory.file("incoming"))
    #expect(rename(directory.file("incoming"), blob(name)) == 0)
  }

  /// A blob that does not end while the returned descriptor is open.
  private func bringEndless(_ name: String) -> Int32 {
    #expect(mkfifo(blob(name), 0o600) == 0)
    return open(blob(name), O_RDWR | O_CLOEXEC)
  }

  private func job(_ items: [JSON], waits: Bool = false) -> JSON {
    ["items": .array(items), "parallel": 2, "waits": .bool(waits)]
  }

  private func finished(_ output: String = "events") -> Set<String> {
    let events = (try? FetchProgram.events(directory.file(output))) ?? []
    return Set(events.compactMap { $0["finished"]?.stringValue })
  }

  private func text(_ name: String) -> String? {
    TestFile.read(place(name) + "/etc/name").map { String(decoding: $0, as: UTF8.self) }
  }

  private func children(of process: ChildProcess) -> [Int32] {
    let path = "/proc/\(process.processID)/task/\(process.processID)/children"
    let text = String(decoding: TestFile.read(path) ?? [], as: UTF8.self)
    return text.split(separator: " ").compactMap { Int32($0) }
  }

  private func names() throws -> [String] {
    try TestDirectory.names(directory.path).filter { !["blobs", "incoming", "job", "events", "others"].contains($0) }
  }

  // MARK: Waiting

  @Test func aLayerIsUnpackedWhileAnotherHasNotCome() throws {
    let (a, b) = (try layer("a"), try layer("b"))
    let process = try FetchProgram.start("unpack", job([item("a", a), item("b", b)], waits: true), in: directory)
    bring("b", b)
    #expect(FetchProgram.wait { finished() == [place("b")] })
    #expect(text("b") == "b")
    #expect(!TestFile.exists(place("a")))
    bring("a", a)
    #expect(FetchProgram.wait { finished() == [place("a"), place("b")] })
    #expect(process.wait() == 0)
    #expect(text("a") == "a")
    #expect(try names() == ["a", "b"])
  }

  @Test func aDirectoryThatDoesNotExistYetIsLookedForToo() throws {
    let a = try layer("a")
    #expect(rmdir(directory.file("blobs")) == 0)
    let process = try FetchProgram.start("unpack", job([item("a", a)], waits: true), in: directory)
    mkdir(directory.file("blobs"), 0o755)
    bring("a", a)
    #expect(FetchProgram.wait { finished() == [place("a")] })
    #expect(process.wait() == 0)
  }

  @Test func aBlobThatNobodyBringsIsNamed() throws {
    let failure = try #require(try FetchProgram.run("unpack", job([item("a", layer("a"))])).failure)
    #expect(failure.code == "layer.file" && failure.message.contains(blob("a")) && !failure.remedy.isEmpty)
    #expect(try names().isEmpty)
  }

  @Test func whatIsInItsPlaceNeedsNoBlob() throws {
    mkdir(place("a"), 0o755)
    let result = try FetchProgram.run("unpack", job([item("a", layer("a"))]))
    #expect(result.code == 0 && result.finished == [place("a")])
  }

  @Test func twoAreUnpackedAtATimeAndNoMore() throws {
    let layers = try ["a", "b", "c"].map { try layer($0) }
    let writers = ["a", "b", "c"].map { bringEndless($0) }
    defer { for writer in writers { close(writer) } }
    let items = zip(["a", "b", "c"], layers).map { item($0, $1) }
    let process = try FetchProgram.start("unpack", job(items), in: directory)
    #expect(FetchProgram.wait { TestFile.exists(place("b.partial/tree")) && children(of: process).count == 2 })
    #expect(try names() == ["a.partial", "b.partial"])
  }

  @Test func aPipeInPlaceOfABlobHoldsNothingUp() throws {
    let a = try layer("a")
    close(bringEndless("a"))
    let failure = try #require(try FetchProgram.run("unpack", job([item("a", a)])).failure)
    #expect(failure.code == "layer.corrupt" && failure.message.contains("ends too early"))
    #expect(try names().isEmpty)
  }

  @Test func whatAnEndedOneLeftBesideAPlaceIsRemoved() throws {
    mkdir(place("a"), 0o755)
    mkdir(place("a.partial"), 0o755)
    TestFile.write([], to: place("a.partial/lock"))
    let result = try FetchProgram.run("unpack", job([item("a", layer("a"))]))
    #expect(result.code == 0 && result.finished == [place("a")])
    #expect(try names() == ["a"])
  }

  @Test func aNumberOfUnpackersThatCannotBeIsRefused() throws {
    for number in [0, -1, 1_000] {
      var job = job([item("a", try layer("a"))])
      job["parallel"] = .integer(Int64(number))
      #expect(try FetchProgram.run("unpack", job).failure?.code == "worker.job")
    }
  }

  // MARK: Two at once, and the end in the middle

  @Test func twoPullsOfTheSameLayerMakeItOnce() throws {
    var tar = TarBuilder()
    tar.directory("etc")
    tar.file("etc/name", "a")
    let a = try TestLayer(tar.archive)
    let writer = bringEndless("a")
    let job = job([item("a", a)])
    let first = try FetchProgram.start("unpack", job, in: directory)
    #expect(FetchProgram.wait { TestFile.exists(place("a.partial/tree")) })
    let second = try FetchProgram.start("unpack", job, in: directory, output: "others")
    #expect(write(writer, a.blob, a.blob.count) == a.blob.count)
    close(writer)
    #expect(first.wait() == 0 && second.wait() == 0)
    #expect(finished() == [place("a")] && finished("others") == [place("a")])
    #expect(text("a") == "a")
    #expect(try names() == ["a"])
  }

  @Test func killedInTheMiddleItLeavesWhatIsWholeAndTheNextOneDoesTheRest() throws {
    let (a, b) = (try layer("a"), try layer("b"))
    bring("a", a)
    let writer = bringEndless("b")
    defer { close(writer) }
    let process = try FetchProgram.start("unpack", job([item("a", a), item("b", b)]), in: directory)
    #expect(FetchProgram.wait { finished() == [place("a")] && TestFile.exists(place("b.partial/tree")) })
    process.signal(SIGKILL)
    #expect(process.wait() == 128 + SIGKILL)
    #expect(text("a") == "a" && !TestFile.exists(place("b")))
    unlink(blob("b"))
    bring("b", b)
    // The one that was killed may have a child that is on its way out and still holds the place.
    #expect(try FetchProgram.run("unpack", job([item("a", a), item("b", b)])).code == 0)
    #expect(text("a") == "a" && text("b") == "b")
    #expect(try names() == ["a", "b"])
  }

  @Test func aFailureEndsTheOthersAndLeavesNothingOfThem() throws {
    let endless = try layer("a")
    var tar = TarBuilder()
    tar.symlink("up", to: "../..")
    tar.file("up/escaped", "x")
    let writer = bringEndless("a")
    defer { close(writer) }
    let bad = try TestLayer(tar.archive, .gzip)
    let process = try FetchProgram.start(
      "unpack", job([item("a", endless), item("b", bad)], waits: true), in: directory)
    #expect(FetchProgram.wait { TestFile.exists(place("a.partial/tree")) })
    bring("b", bad)
    #expect(process.wait() == 1)
    let result = FetchProgram.Result(code: 1, events: try FetchProgram.events(directory.file("events")))
    #expect(result.failure?.code == "layer.escapes")
    #expect(try names().isEmpty)
  }
}
