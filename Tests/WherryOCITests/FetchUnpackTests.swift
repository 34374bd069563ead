import Glibc
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryTransfer

@testable import WherryOCI

/// `wherry-fetch unpack`, the program.
@Suite struct FetchUnpackTests {
  private let directory = TemporaryDirectory()

  private func item(_ layer: TestLayer, _ name: String, diffID: Digest? = nil) -> JSON {
    TestFile.write(layer.blob, to: directory.file("blob-\(name)"))
    return [
      "blob": .string(directory.file("blob-\(name)")), "destination": .string(directory.file(name)), "kind": "layer",
      "label": .string("com.example.web layer \(name)"), "compression": .string(layer.compression.rawValue),
      "diffID": .string((diffID ?? layer.diffID).description),
    ]
  }

  private func layer(_ files: [String: String], _ compression: LayerCompression = .gzip) throws -> TestLayer {
    var tar = TarBuilder()
    for (path, text) in files.sorted(by: { $0.key < $1.key }) { tar.file(path, text) }
    return try TestLayer(tar.archive, compression)
  }

  private func text(_ path: String) -> String? {
    TestFile.read(directory.file(path)).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func anImageOfARegistryIsFetchedAndUnpacked() throws {
    let registry = try TestRegistry()
    let layers = [
      try layer(["etc/name": "base", "bin/tool": "1"], .gzip), try layer(["etc/name": "top"], .zstd),
      try layer(["srv/index.html": "hello"], .none),
    ]
    try registry.push(image: TestImage(layers: layers), to: "example/web", tag: "1")
    let image = try ImageResolver(http: HTTPClient(), insecureRegistries: [registry.host])
      .resolve("\(registry.host)/example/web:1", platform: Platform(["os": "linux", "architecture": "amd64"]))
    let store = try ContentStore(root: directory.file("blobs"))
    let download = try FetchProgram.run(
      "download",
      [
        "store": .string(store.root),
        "items": .array(
          image.layers.map {
            [
              "digest": .string($0.digest.description), "size": .integer($0.size),
              "url": .string("\(image.registry)/v2/\(image.repository)/blobs/\($0.digest)"),
            ]
          }),
      ])
    #expect(download.code == 0, "\(download.events)")
    let unpack = try FetchProgram.run(
      "unpack",
      [
        "items": .array(
          image.layers.map {
            [
              "blob": .string(store.path(of: $0.digest)), "destination": .string(directory.file($0.diffID.hex)),
              "kind": "layer", "compression": .string($0.compression.rawValue),
              "diffID": .string($0.diffID.description),
            ]
          })
      ])
    #expect(unpack.code == 0, "\(unpack.events)")
    #expect(unpack.finished == image.layers.map { directory.file($0.diffID.hex) })
    #expect(text(image.layers[0].diffID.hex + "/etc/name") == "base")
    #expect(text(image.layers[1].diffID.hex + "/etc/name") == "top")
    #expect(text(image.layers[2].diffID.hex + "/srv/index.html") == "hello")
  }

  @Test func whatIsThereIsLeftAloneAndWhatWasHalfDoneIsDoneAnew() throws {
    let job: JSON = ["items": [item(try layer(["f": "new"]), "a"), item(try layer(["g": "new"]), "b")]]
    mkdir(directory.file("a"), 0o755)
    TestFile.write("old".utf8, to: directory.file("a/f"))
    mkdir(directory.file("b.partial"), 0o755)
    TestFile.write("half".utf8, to: directory.file("b.partial/left over"))
    #expect(try FetchProgram.run("unpack", job).code == 0)
    #expect(text("a/f") == "old")
    #expect(try TestDirectory.names(directory.file("b")) == ["g"])
    #expect(!TestFile.exists(directory.file("b.partial")))
  }

  @Test func aHostileLayerEndsInOneFailureAndLeavesNothing() throws {
    var tar = TarBuilder()
    tar.file("good", "x")
    tar.symlink("up", to: "../..")
    tar.file("up/escaped", "x")
    let good = item(try layer(["f": "x"]), "good")
    let job: JSON = [
      "items": [good, item(try TestLayer(tar.archive, .gzip), "bad"), item(try layer(["g": "x"]), "never")]
    ]
    let result = try FetchProgram.run("unpack", job)
    #expect(result.code == 1)
    let failure = try #require(result.failure)
    #expect(failure.code == "layer.escapes")
    #expect(failure.failureClass == "verify")
    #expect(failure.message.contains("com.example.web layer bad") && !failure.remedy.isEmpty)
    #expect(result.finished == [directory.file("good")])
    let names = try TestDirectory.names(directory.path)
    #expect(names == ["blob-bad", "blob-good", "blob-never", "good"])
  }

  @Test func aLayerWithAnotherDiffIDLeavesNothing() throws {
    let job: JSON = ["items": [item(try layer(["f": "x"]), "a", diffID: SHA256.digest(of: "other"))]]
    #expect(try FetchProgram.run("unpack", job).failure?.code == "layer.diffIDMismatch")
    #expect(try TestDirectory.names(directory.path) == ["blob-a"])
  }

  @Test func aFullDiskEndsInOneFailureAndLeavesNothing() throws {
    guard let disk = SmallDisk(directory.file("disk"), mebibytes: 4) else {
      return print("skipped: only root may mount a small disk")
    }
    var tar = TarBuilder()
    tar.add(TarBuilder.Entry(path: "large", content: [UInt8](repeating: 0, count: 16 << 20)))
    var item = item(try TestLayer(tar.archive, .gzip), "large")
    item["destination"] = .string(disk.path + "/large")
    let result = try FetchProgram.run("unpack", ["items": [item]])
    #expect(result.failure?.code == "space.full")
    #expect(try TestDirectory.names(disk.path).isEmpty)
  }

  private func archive(_ name: String, _ text: String = "w", digest: Digest? = nil) throws -> JSON {
    var tar = TarBuilder()
    tar.file("model/weights", text)
    let blob = try TestLayer(tar.archive, .gzip).blob
    TestFile.write(blob, to: directory.file("blob-\(name)"))
    return [
      "blob": .string(directory.file("blob-\(name)")), "destination": .string(directory.file(name)), "kind": "tar",
      "digest": .string((digest ?? SHA256.digest(of: blob)).description), "size": .integer(Int64(blob.count)),
      "label": .string("com.example.model \(name).tar.gz"),
    ]
  }

  @Test func artifactsAreUnarchived() throws {
    #expect(try FetchProgram.run("unpack", ["items": [archive("m")]]).code == 0)
    #expect(text("m/model/weights") == "w")
  }

  /// The blob store belongs to the download user, who may have swapped the file since it was verified.
  @Test func anArchiveThatIsNotWhatWasSignedIsNotUnpackedAndNotKept() throws {
    let result = try FetchProgram.run("unpack", ["items": [archive("m", digest: SHA256.digest(of: "other"))]])
    let failure = try #require(result.failure)
    #expect(failure.code == "blob.digestMismatch" && failure.failureClass == "verify")
    #expect(failure.message.contains("com.example.model m.tar.gz") && !failure.remedy.isEmpty)
    #expect(try TestDirectory.names(directory.path).isEmpty)
  }

  @Test func twoThingsInOnePlaceAreRefusedAndNotOneOfThemForgotten() throws {
    var second = try archive("n", "other")
    second["destination"] = .string(directory.file("m"))
    let result = try FetchProgram.run("unpack", ["items": [archive("m"), second]])
    #expect(result.failure?.code == "worker.job")
    #expect(result.failure?.message.contains(directory.file("m")) == true)
    #expect(!TestFile.exists(directory.file("m")))
  }

  @Test(arguments: ["", ".", "..", "a/..", "a/../b", "a/./b", "a/"])
  func aPlaceThatIsNoPlaceIsRefused(_ name: String) throws {
    var item = try archive("m")
    item["destination"] = .string(directory.path + "/" + name)
    #expect(try FetchProgram.run("unpack", ["items": [item]]).failure?.code == "worker.job")
    #expect(try TestDirectory.names(directory.path) == ["blob-m"])
  }

  private func endlessJob(_ pipe: String) -> JSON {
    [
      "items": [
        [
          "blob": .string(pipe), "destination": .string(directory.file("out")), "kind": "layer", "compression": "none",
          "diffID": .string(SHA256.digest(of: "").description),
        ]
      ]
    ]
  }

  /// While an archive is being read from a pipe that does not end, the process that reads it can be looked at.
  @Test func theProcessThatUnpacksSeesOnlyItsTargetAndMayDoLittle() throws {
    guard geteuid() == 0 else { return print("skipped: only root has namespaces for its workers") }
    let pipe = directory.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    let writer = open(pipe, O_RDWR | O_CLOEXEC)
    defer { close(writer) }
    let job = endlessJob(pipe)
    let parent = try FetchProgram.start("unpack", job, in: directory)
    let children = "/proc/\(parent.processID)/task/\(parent.processID)/children"
    func child() -> String? { proc(children)?.split(separator: " ").first.map(String.init) }
    func status() -> String { child().flatMap { proc("/proc/\($0)/status") } ?? "" }
    #expect(FetchProgram.wait { status().contains("Seccomp:\t2") }, "\(status())")
    let pid = try #require(child())
    #expect(status().contains("NoNewPrivs:\t1"))
    // chown, dac_override, fowner, fsetid, sys_admin, mknod, setfcap
    #expect(status().contains("CapEff:\t000000008820001b"), "\(status())")
    #expect(status().contains("CapBnd:\t000000008820001b"))
    for namespace in ["net", "mnt", "ipc", "uts"] {
      #expect(link("/proc/\(pid)/ns/\(namespace)") != link("/proc/self/ns/\(namespace)"))
    }
    #expect(try TestDirectory.names("/proc/\(pid)/root").isEmpty)
    // It goes with its parent, and its target with the next run.
    parent.signal(SIGKILL)
    parent.wait()
    #expect(FetchProgram.wait { kill(Int32(pid) ?? 0, 0) != 0 || proc("/proc/\(pid)/stat")?.contains(") Z ") == true })
    #expect(!TestFile.exists(directory.file("out")))
    #expect(TestFile.exists(directory.file("out.partial")))
  }

  @Test func theProcessThatUnpacksHasNothingElseOpen() throws {
    let pipe = directory.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    let writer = open(pipe, O_RDWR | O_CLOEXEC)
    defer { close(writer) }
    let secret = directory.file("secret")
    TestFile.write(Array("key".utf8), to: secret)
    TestFile.write(endlessJob(pipe).canonicalBytes, to: directory.file("job"))
    // As a library opens it: without a word to the kernel that it is not for children.
    let parent = try #require(
      ChildProcess(
        "/bin/sh", ["-c", "exec 7<\"$1\"; exec \"$2\" unpack", "sh", secret, try FetchProgram.path],
        inputPath: directory.file("job"), outputPath: directory.file("events")))
    func files(of process: String) -> [String] {
      ((try? TestDirectory.names("/proc/\(process)/fd")) ?? []).map { link("/proc/\(process)/fd/\($0)") }
    }
    let children = "/proc/\(parent.processID)/task/\(parent.processID)/children"
    var child: String? { proc(children)?.split(separator: " ").first.map(String.init) }
    #expect(FetchProgram.wait { child.map { proc("/proc/\($0)/status")?.contains("Seccomp:\t2") == true } ?? false })
    let pid = try #require(child)
    #expect(files(of: "\(parent.processID)").contains(secret), "the worker itself was started with it")
    #expect(files(of: pid).contains(pipe))
    #expect(!files(of: pid).contains(secret), "\(files(of: pid))")
  }

  private func proc(_ path: String) -> String? { TestFile.read(path).map { String(decoding: $0, as: UTF8.self) } }

  private func link(_ path: String) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    let count = readlink(path, &buffer, 255)
    return String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
