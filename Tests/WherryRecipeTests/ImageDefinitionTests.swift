import Testing

@testable import WherryRecipe

@Suite("ImageDefinitionReader")
struct ImageDefinitionTests {
  private func problems(_ text: String) -> [String] {
    ImageDefinitionReader.read(text, fileName: "image.yaml").problems.map { "\($0.line): \($0.message)" }
  }

  @Test func everythingGiven() throws {
    let reading = ImageDefinitionReader.read(
      """
      base: registry.example.com/team/base:1.4
      Platforms: [linux/amd64, linux/arm/v7]
      Files:
        - { To: /srv/data, Owner: "1000:50", Mode: "1777" }
        - { To: /etc/motd, Text: "hi\\n" }
        - { to: /etc/empty, text: }
        - { To: /bin/app, Link: ../srv/app }
        - { From: bin/{architecture}/app, To: /srv/app, Mode: "0500", Exclude: ["*.pyc", a/b] }
      Entrypoint: [/srv/app]
      Cmd: serve now
      Env: { A: 1, B: }
      User: web
      WorkingDir: /srv
      Labels: { org.example.kind: test }
      StopSignal: SIGINT
      Ports: [8080, 53/UDP]
      """.replacing("From: bin/{architecture}/app", with: "From: \"bin/{architecture}/app\""), fileName: "image.yaml")
    #expect(reading.problems.isEmpty)
    let definition = try #require(reading.definition)
    #expect(definition.base == "registry.example.com/team/base:1.4")
    #expect(definition.platforms == ["linux/amd64", "linux/arm/v7"])
    typealias Entry = ImageDefinition.Entry
    #expect(
      definition.entries == [
        Entry(source: .directory, target: "/srv/data", user: 1000, group: 50, mode: 0o1777, isExplicit: true),
        Entry(source: .text("hi\n"), target: "/etc/motd"), Entry(source: .text(""), target: "/etc/empty"),
        Entry(source: .link("../srv/app"), target: "/bin/app"),
        Entry(
          source: .path("bin/{architecture}/app"), target: "/srv/app", mode: 0o500, excluded: ["*.pyc", "a/b"],
          isExplicit: true),
      ])
    #expect(definition.entrypoint == ["/srv/app"] && definition.command == ["/bin/sh", "-c", "serve now"])
    #expect(definition.environment == ["A": "1", "B": ""] && definition.user == "web")
    #expect(definition.workingDirectory == "/srv" && definition.stopSignal == "SIGINT")
    #expect(definition.labels == ["org.example.kind": "test"] && definition.ports == ["8080/tcp", "53/udp"])
  }

  @Test func scratchIsNoBase() throws {
    let reading = ImageDefinitionReader.read("Base: scratch\nFiles: [{ To: /tmp }]", fileName: "image.yaml")
    #expect(try #require(reading.definition).base == nil)
  }

  @Test(arguments: [
    ("", "is empty"), ("Files: []", "the image holds nothing"), ("Bass: alpine", "unknown key \"Bass\""),
    ("Base: a b", "is not an image"), ("Base: alpine\nPlatforms: [amd64]", "\"amd64\" is not a platform"),
    ("Base: alpine\nPlatforms: [linux/amd64, linux/amd64]", "given twice"),
    ("Files: [{ From: a }]", "To is missing"), ("Files: [{ From: ../a, To: /a }]", "not below the image's directory"),
    ("Files: [{ From: /etc/passwd, To: /a }]", "not below the image's directory"),
    ("Files: [{ From: a, To: a }]", "not an absolute path"), ("Files: [{ From: a, To: /../a }]", "absolute path"),
    ("Files: [{ From: a, Text: b, To: /a }]", "From and Text exclude each other"),
    ("Files: [{ To: / }]", "/ is the image itself"), ("Files: [{ To: /a, Owner: root }]", "is not an owner"),
    ("Files: [{ To: /a, Owner: \"1:2:3\" }]", "is not an owner"), ("Files: [{ To: /a, Mode: rwx }]", "is not a mode"),
    ("Files: [{ To: /a, Mode: \"99999\" }]", "is not a mode"),
    ("Files: [{ To: /a, Link: b, Mode: \"0755\" }]", "a symbolic link has no mode"),
    ("Files: [{ To: /a, Text: b, Exclude: [c] }]", "Exclude is for what From names"),
    ("Base: alpine\nStopSignal: TERM", "is not a signal"), ("Base: alpine\nPorts: [http]", "is not a port"),
    ("Base: alpine\nEntrypoint: []", "the command is empty"), ("Base: alpine\nUser: a b", "is not a user"),
  ])
  func refusals(text: String, sentence: String) {
    let found = problems(text)
    #expect(found.contains { $0.contains(sentence) }, "\(found)")
    #expect(ImageDefinitionReader.read(text, fileName: "image.yaml").definition == nil)
  }
}

@Suite struct ImagePinTests {
  private let pinned = "wherry:team/web:1.0.0@sha256:abc"

  @Test(arguments: [
    ("Image: wherry:team/web", "Image: {}"), ("image:   'wherry:team/web' # built", "image:   '{}' # built"),
    ("{\"Image\":\"wherry:team/web\"}", "{\"Image\":\"{}\"}"),
    ("{ Image: wherry:team/web, A: b }", "{ Image: {}, A: b }"),
    ("- Image: wherry:team/web\r\n", "- Image: {}\r\n"),
    (
      "# wherry:team/web\nImage: wherry:team/web\nImage: wherry:team/web2\n",
      "# wherry:team/web\nImage: {}\nImage: wherry:team/web2\n"
    ),
  ])
  func theDigestComesBehindTheReference(text: String, expected: String) {
    let result = ImagePin.pin("wherry:team/web", to: pinned, in: text)
    #expect(result == expected.replacing("{}", with: pinned))
  }

  @Test(arguments: [
    "Image: >\n  wherry:team/web", "Images: wherry:team/web", "MyImage: wherry:team/web", "run wherry:team/web",
    "Image: wherry:team/web:1.0.0", "",
  ])
  func whatIsNoImageIsLeftAlone(text: String) {
    #expect(ImagePin.pin("wherry:team/web", to: pinned, in: text) == nil)
  }
}
