import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport

@testable import WherryClient

@Suite struct RegistryLayoutTests {
  private let directory = TemporaryDirectory()
  private let image = TestImage([Array("layer one".utf8), [UInt8](repeating: 7, count: 3_000)])

  private func file(_ bytes: [UInt8]) -> String {
    TestFile.write(bytes, to: directory.file("archive.tar"))
    return directory.file("archive.tar")
  }

  private func folder(_ files: [(String, [UInt8])]) -> String {
    TestImage.write(files, to: directory.file("layout"))
    return directory.file("layout")
  }

  /// Everything that the source says of its only image, read through it.
  private func blobs(of layout: RegistryLayout) throws -> [[UInt8]] {
    let content = try #require(layout.images.first)
    #expect(layout.images.count == 1)
    return try layout.manifest(content).blobs.map { blob in
      let file = try layout.file(of: blob) { _ in }
      #expect(file.size == blob.size)
      return try RegistryFileReader(file).all()
    }
  }

  private func sentence(_ body: () throws -> Void) -> String { Script.failure(of: body)?.description ?? "no failure" }

  // MARK: - Layouts

  @Test func aLayoutIsReadAsADirectoryAndAsAnArchive() throws {
    let files = TestImage.layout([image], index: TestImage.index([image.entry(named: "1.0")]))
    for path in [folder(files), file(TestTar.archive(files.map { ("./\($0)", $1) }))] {
      let layout = try RegistryLayout(path: path)
      #expect(layout.images.map(\.name) == ["1.0"])
      #expect(layout.images.map(\.digest) == [image.digest])
      #expect(try blobs(of: layout) == image.blobs)
    }
  }

  @Test func whatIsDamagedIsNamed() throws {
    let index = TestImage.index([image.entry()])
    var files = TestImage.layout([image], index: index)
    let layer = "blobs/sha256/\(SHA256.digest(of: image.layers[0]).hex)"
    files.removeAll { $0.0 == layer }
    let without = try RegistryLayout(path: file(TestTar.archive(files)))
    #expect(sentence { _ = try blobs(of: without) }.contains("lacks \(SHA256.digest(of: image.layers[0]))"))
    let short = try RegistryLayout(path: file(TestTar.archive(files + [(layer, [1])])))
    #expect(sentence { _ = try blobs(of: short) }.contains("has 1 bytes in"))

    let manifest = "blobs/sha256/\(image.digest.hex)"
    let other = TestImage([Array("layer two".utf8), image.layers[1]]).manifest
    let swapped = TestImage.layout([image], index: index).map { $0.0 == manifest ? ($0.0, other) : $0 }
    #expect(other.count == image.manifest.count)
    let layout = try RegistryLayout(path: file(TestTar.archive(swapped)))
    #expect(sentence { _ = try blobs(of: layout) }.contains("the file is damaged"))
  }

  @Test func whatIsNoImageIsRefusedInOneSentence() {
    #expect(sentence { _ = try RegistryLayout(path: directory.file("none")) }.contains("cannot be read"))
    let empty = file(TestTar.archive([("readme", [1])]))
    #expect(sentence { _ = try RegistryLayout(path: empty) }.contains("neither an OCI image layout nor an archive"))
    let nothing = file(TestTar.archive(TestImage.layout([], index: TestImage.index([]))))
    #expect(sentence { _ = try RegistryLayout(path: nothing) }.hasSuffix("holds no image"))
    let broken = file(TestTar.archive(TestImage.layout([], index: Array("{".utf8))))
    #expect(sentence { _ = try RegistryLayout(path: broken) }.contains("index.json of"))
  }

  // MARK: - Archives of docker

  private func dockerFiles() -> [(String, [UInt8])] {
    let manifest: JSON = [
      [
        "Config": "config.json", "RepoTags": ["host:5000/team/web:1.0", "team/web:stable"],
        "Layers": ["a/layer.tar", "b/layer.tar"],
      ]
    ]
    return [
      ("manifest.json", manifest.canonicalBytes), ("config.json", image.config), ("a/layer.tar", image.layers[0]),
    ]
  }

  @Test func anArchiveOfDockerHasAnImageForEachOfItsTags() throws {
    let tar = TestTar.archive(dockerFiles() + [("b/layer.tar", image.layers[1])])
    let layout = try RegistryLayout(path: file(tar))
    #expect(layout.images.map(\.name) == ["1.0", "stable"])
    #expect(Set(layout.images.map(\.digest)).count == 1)
    let manifest = try layout.manifest(layout.images[0])
    #expect(manifest.blobs.map(\.digest) == image.blobs.map { SHA256.digest(of: $0) })
    for (blob, bytes) in zip(manifest.blobs, image.blobs) {
      #expect(try RegistryFileReader(try layout.file(of: blob) { _ in }).all() == bytes)
    }
  }

  @Test func aLayerThatIsALinkIsTheLayerThatItLeadsTo() throws {
    let twin = TestImage([image.layers[0], image.layers[0]])
    let files = dockerFiles().map { $0.0 == "config.json" ? ($0.0, twin.config) : $0 }
    for link in [
      TestTar.entry("b/layer.tar", [], kind: "2", link: "../a/layer.tar"),
      TestTar.entry("b/layer.tar", [], kind: "1", link: "a/layer.tar"),
    ] {
      let layout = try RegistryLayout(path: file(link + TestTar.archive(files)))
      let manifest = try layout.manifest(layout.images[0])
      #expect(manifest.blobs.map(\.digest) == twin.blobs.map { SHA256.digest(of: $0) })
      #expect(try RegistryFileReader(try layout.file(of: manifest.blobs[2]) { _ in }).all() == image.layers[0])
    }
  }

  @Test func anArchiveThatLacksALayerIsRefused() {
    let tar = TestTar.archive(dockerFiles())
    #expect(
      sentence { _ = try RegistryLayout(path: file(tar)) }.contains("names b/layer.tar, which is not in the archive"))
  }

  // MARK: - Tar

  @Test func longNamesAreReadInBothSpellings() throws {
    let name = String(repeating: "directory/", count: 30) + "file"
    let gnu = TestTar.entry("././@LongLink", Array((name + "\0").utf8), kind: "L") + TestTar.entry("cut", [1, 2])
    for entries in [gnu, TestTar.paxEntry(name, [1, 2])] {
      let tar = try RegistryTar(path: file(entries + TestTar.archive([("next", [3])])))
      let long = try #require(tar.files[name])
      #expect(try RegistryFileReader(long).all() == [1, 2])
      #expect(try RegistryFileReader(try #require(tar.files["next"])).all() == [3])
    }
  }

  @Test func aTarThatIsNoneOrLiesIsRefused() {
    func refusal(_ bytes: [UInt8]) -> String { sentence { _ = try RegistryTar(path: file(bytes)) } }
    #expect(refusal([0x1f, 0x8b] + [UInt8](repeating: 1, count: 1_022)).contains("is compressed"))
    #expect(refusal([UInt8](repeating: 1, count: 1_024)).contains("no tar archive"))
    let good = TestTar.entry("a", [1, 2, 3])
    #expect(refusal(good + [UInt8](repeating: 1, count: 512)).contains("is damaged"))
    for size in [513, 1 << 30] {
      #expect(
        refusal(TestTar.header("a", size: size, kind: "0", link: "") + [1, 2, 3]).contains("ends within an entry"))
    }
    #expect(refusal(TestTar.header("a", size: 1 << 30, kind: "L", link: "")).contains("ends within an entry"))
  }

  @Test func anyCutOfAnArchiveIsRefusedOrReadAndNeverTraps() {
    let files = TestImage.layout([image], index: TestImage.index([image.entry()]))
    let whole = TestTar.paxEntry("x", [1]) + TestTar.archive(files)
    for count in stride(from: 0, to: whole.count, by: 97) {
      let path = file(Array(whole[..<count]))
      guard let layout = try? RegistryLayout(path: path) else { continue }
      for content in layout.images { _ = try? layout.manifest(content) }
    }
  }
}
