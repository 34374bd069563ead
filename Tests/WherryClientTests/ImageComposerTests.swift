import Glibc
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI
import WherryRecipe
import WherryTestSupport

@testable import WherryClient

@Suite struct ImageComposerTests {
  private let directory = TemporaryDirectory()
  private let amd64 = ImagePlatform(os: "linux", architecture: "amd64")
  private let arm64 = ImagePlatform(os: "linux", architecture: "arm64")

  private func definition(_ text: String) throws -> ImageDefinition {
    let reading = ImageDefinitionReader.read(text, fileName: "image.yaml")
    #expect(reading.problems.isEmpty, "\(reading.problems)")
    return try #require(reading.definition)
  }

  private func put(_ text: String, at path: String, mode: mode_t = 0o644) {
    var folder = directory.file("context")
    mkdir(folder, 0o755)
    for part in path.split(separator: "/").dropLast() {
      folder += "/" + part
      mkdir(folder, 0o755)
    }
    TestFile.write(Array(text.utf8), to: directory.file("context/\(path)"))
    chmod(directory.file("context/\(path)"), mode)
  }

  private func compose(
    _ text: String, base: ImageComposer.Base? = nil, _ platforms: [ImagePlatform]? = nil
  ) throws -> ComposedImage {
    mkdir(directory.file("context"), 0o755)
    mkdir(directory.file("work"), 0o755)
    let composer = ImageComposer(
      try definition(text), directory: directory.file("context"), base: base, workDirectory: directory.file("work"))
    return try composer.compose(platforms ?? [amd64])
  }

  private func json(_ blob: RegistryContent, of image: ComposedImage) throws -> JSON {
    try JSON(parsing: try RegistryFileReader(image.file(of: blob) { _ in }).all())
  }

  private func entries(_ text: String, hasBase: Bool = false) throws -> [[LayerEntry]] {
    mkdir(directory.file("context"), 0o755)
    return try ImageContent(directory: directory.file("context"), hasBase: hasBase, architecture: "arm64")
      .layers(of: definition(text).entries)
  }

  private func base(_ image: TestImage, index: [UInt8]? = nil, others: [TestImage] = []) throws -> ImageComposer.Base {
    TestImage.write(
      TestImage.layout([image] + others, index: index ?? TestImage.index([image.entry(named: "1")])),
      to: directory.file("base"))
    let layout = try RegistryLayout(path: directory.file("base"))
    return ImageComposer.Base(source: layout, image: try #require(layout.images.first), name: "./base")
  }

  // MARK: - Files

  @Test func aTreeIsTakenAsItIsWithModesThatDoNotDependOnWhoCheckedItOut() throws {
    put("a", at: "app/run", mode: 0o775)
    put("b", at: "app/lib/z.txt", mode: 0o664)
    put("c", at: "app/lib/cache/x.pyc")
    symlink("lib/z.txt", directory.file("context/app/link"))
    let layers = try entries("Files: [{ From: app, To: /srv/app, Exclude: [cache] }]")
    #expect(layers.count == 1)
    let paths = ["srv", "srv/app", "srv/app/lib", "srv/app/lib/z.txt", "srv/app/link", "srv/app/run"]
    #expect(layers[0].map(\.path) == paths)
    #expect(layers[0].map(\.mode) == [0o755, 0o755, 0o755, 0o644, 0o777, 0o755])
    #expect(layers[0][4].content == .link("lib/z.txt"))
  }

  @Test func overABaseDirectoriesThatMayBeThereKeepTheirModes() throws {
    put("a", at: "app/run")
    #expect(try entries("Files: [{ From: app, To: /tmp }]", hasBase: true)[0].map(\.path) == ["tmp/run"])
    let owned = try entries("Files: [{ From: app, To: /srv, Owner: \"5\", Mode: \"0640\" }]", hasBase: true)[0]
    #expect(owned.map(\.path) == ["srv", "srv/run"] && owned.map(\.mode) == [0o750, 0o640])
    #expect(owned.allSatisfy { $0.user == 5 && $0.group == 5 })
  }

  @Test func aLayerEndsBeforeWhatBringsFiles() throws {
    put("a", at: "deps/a")
    put("b", at: "app/arm64/b")
    let layers = try entries(
      """
      Files:
        - { To: /data }
        - { From: deps, To: /deps }
        - { To: /etc/x, Text: x }
        - { From: "app/{architecture}", To: /app }
        - { To: /last, Link: app/b }
      """)
    #expect(layers.map { $0.map(\.path) } == [["data", "deps", "deps/a", "etc", "etc/x"], ["app", "app/b", "last"]])
  }

  @Test func ofTwoEntriesWithOnePathTheLaterCounts() throws {
    let layers = try entries("Files: [{ To: /a, Text: one }, { To: /b, Text: b }, { To: /a, Text: two }]")
    #expect(layers[0].map(\.content) == [.text("two"), .text("b")])
  }

  @Test func whatCannotBePackedIsNamed() throws {
    func sentence(_ text: String) -> String { Script.failure { _ = try entries(text) }?.description ?? "no failure" }
    #expect(sentence("Files: [{ From: nowhere, To: /a }]").contains("context/nowhere cannot be read"))
    #expect(sentence("Files: [{ To: /a, Text: x }, { To: /a/b, Text: y }]").contains("put /a/b into /a"))
    put("a", at: "app/run")
    mkfifo(directory.file("context/app/pipe"), 0o600)
    #expect(sentence("Files: [{ From: app, To: /a }]").contains("app/pipe is neither a file"))
    #expect(try entries("Files: [{ From: app, To: /a, Exclude: [\"pi*\"] }]")[0].count == 2)
    #expect(sentence("Files: [{ From: app/run, To: / }]").contains("is a file; name its place"))
  }

  // MARK: - Images

  @Test func anImageOfNothingButFiles() throws {
    put("a", at: "app/run", mode: 0o755)
    let text = "Files: [{ From: app, To: /app }]\nEntrypoint: [/app/run]\nEnv: { B: 2, A: 1 }\nPorts: [80]"
    let image = try compose(text)
    let content = try #require(image.content)
    let manifest = try image.manifest(content)
    #expect(manifest.blobs.count == 2 && manifest.mediaType == MediaType.ociManifest)
    let config = try json(manifest.blobs[0], of: image)
    #expect(config["config"]?["Env"] == ["A=1", "B=2"] && config["config"]?["Entrypoint"] == ["/app/run"])
    #expect(config["config"]?["ExposedPorts"] == ["80/tcp": .object([:])])
    #expect(config["os"] == "linux" && config["architecture"] == "amd64")
    #expect(config["rootfs"]?["diff_ids"]?.arrayValue?.count == 1 && config["history"]?.arrayValue?.count == 1)
    #expect(try compose(text).content == content, "the same again")
    put("b", at: "app/run", mode: 0o755)
    #expect(try compose(text).content != content)
  }

  @Test func aBaseIsTakenOverAndItsSettingsStandUnlessTheyAreSaidAnew() throws {
    var raw = TestImage([Array("layer".utf8)])
    var config = try JSON(parsing: raw.config)
    config["config"] = [
      "Env": ["PATH=/bin", "LANG=C"], "Cmd": ["old"], "User": "1", "Labels": ["a": "1", "b": "1"],
    ]
    config["history"] = [["created_by": "before"]]
    raw = TestImage(layers: raw.layers, config: config)
    let image = try compose(
      "Base: ./base\nFiles: [{ To: /a, Text: x }]\nEntrypoint: [/e]\nEnv: { LANG: de, Z: 9 }\nLabels: { b: \"2\" }",
      base: try base(raw))
    let manifest = try image.manifest(try #require(image.content))
    #expect(manifest.blobs.count == 3 && manifest.blobs[1].digest == SHA256.digest(of: raw.layers[0]))
    let made = try json(manifest.blobs[0], of: image)
    #expect(made["config"]?["Env"] == ["PATH=/bin", "LANG=de", "Z=9"])
    #expect(made["config"]?["Cmd"] == nil && made["config"]?["Entrypoint"] == ["/e"])
    #expect(made["config"]?["User"] == "1" && made["config"]?["Labels"] == ["a": "1", "b": "2"])
    #expect(made["rootfs"]?["diff_ids"]?.arrayValue?.count == 2 && made["history"]?.arrayValue?.count == 2)
    #expect(!String(decoding: manifest.bytes, as: UTF8.self).contains("annotations"), "a place on this machine")
  }

  @Test func forSeveralPlatformsThereIsAnIndex() throws {
    let (one, two) = (TestImage([[1]], architecture: "amd64"), TestImage([[2]], architecture: "arm64"))
    let index = TestImage.index([one.entry(architecture: "amd64"), two.entry(architecture: "arm64")])
    let layout = TestImage.index([TestImage.descriptor(index, MediaType.ociIndex)])
    TestImage.write(
      TestImage.layout([one, two], index: layout, others: [index]), to: directory.file("base"))
    let source = try RegistryLayout(path: directory.file("base"))
    let base = ImageComposer.Base(source: source, image: try #require(source.images.first), name: "./base")
    let image = try compose("Base: ./base\nFiles: [{ To: /a, Text: x }]", base: base, [amd64, arm64])
    let manifest = try image.manifest(try #require(image.content))
    #expect(manifest.isIndex && manifest.manifests.map(\.platform) == ["linux/amd64", "linux/arm64"])
    for (entry, layer) in zip(manifest.manifests, [UInt8(1), 2]) {
      #expect(try image.manifest(entry).blobs[1].digest == SHA256.digest(of: [layer]))
    }
    let wrong = ImagePlatform(os: "linux", architecture: "riscv64")
    let sentence = Script.failure { _ = try compose("Base: ./base", base: base, [wrong]) }?.description
    #expect(sentence?.contains("not there for linux/riscv64, but for linux/amd64, linux/arm64") == true)
  }

  @Test func aBaseOfAnotherPlatformIsRefused() throws {
    let base = try base(TestImage([[1]], architecture: "arm64"))
    let sentence = Script.failure { _ = try compose("Base: ./base", base: base) }?.description
    #expect(sentence?.contains("is for linux/arm64 and not for linux/amd64") == true, "\(sentence ?? "")")
  }

  @Test func aLayoutThatIsWrittenIsReadAgain() throws {
    let image = try compose("Base: ./base\nFiles: [{ To: /a, Text: x }]", base: try base(TestImage([[1, 2, 3]])))
    let content = try #require(image.content)
    let place = directory.file("out")
    try ImageLayoutWriter.write(content, of: image, named: "1.0", to: place)
    let layout = try RegistryLayout(path: place)
    #expect(layout.images.map(\.name) == ["1.0"] && layout.images[0].digest == content.digest)
    for blob in try layout.manifest(layout.images[0]).blobs {
      let bytes = try RegistryFileReader(layout.file(of: blob) { _ in }).all()
      #expect(SHA256.digest(of: bytes) == blob.digest)
    }
    let again = Script.failure { try ImageLayoutWriter.write(content, of: image, named: "1.0", to: place) }
    #expect(again?.description.contains("holds something already") == true)
  }
}
