import Testing
import WherryModel
import WherryPlanning

@Suite("Resolver: what is chosen")
struct ResolverTests {
  @Test("the newest version that everybody accepts")
  func newest() throws {
    let catalog = try catalog("web 1.0.0", "web 1.2.0", "web 2.0.0", "web 3.0.0-rc.1")
    #expect(try resolved(["web"], catalog) == ["web 2.0.0"])
    #expect(try resolved(["web ^1.0.0"], catalog) == ["web 1.2.0"])
    #expect(try resolved(["web 1.0.0"], catalog) == ["web 1.0.0"])
    #expect(try resolved(["web >=1.0.0", "web <2.0.0 @ group shops"], catalog) == ["web 1.2.0"])
    #expect(try resolved(["web ^3.0.0-rc.1"], catalog) == ["web 3.0.0-rc.1"])
  }

  @Test("nothing is wanted, nothing is chosen")
  func nothing() throws {
    #expect(try resolved([], try catalog("web 1.0.0")) == [])
  }

  @Test("dependencies come along, SOFT ones too, and nothing else")
  func dependencies() throws {
    let catalog = try catalog(
      "web 1.0.0: lib ^1, ?log *", "lib 1.0.0: base *", "lib 2.0.0", "log 1.0.0", "base 5.0.0", "x 1.0.0")
    #expect(try resolved(["web"], catalog) == ["base 5.0.0", "lib 1.0.0", "log 1.0.0", "web 1.0.0"])
  }

  @Test("an older version is taken when the newest has a dependency that cannot be had")
  func backtracking() throws {
    #expect(
      try resolved(["web"], try catalog("web 2.0.0: lib ^9", "web 1.0.0: lib ^1", "lib 1.0.0"))
        == ["lib 1.0.0", "web 1.0.0"])
    // Three levels down.
    #expect(
      try resolved(
        ["a"],
        try catalog(
          "a 2.0.0: b ^2", "a 1.0.0: b ^1", "b 2.0.0: c ^2", "b 1.0.0: c ^1", "c 2.0.0: d ^2", "c 1.0.0", "d 1.0.0")
      ) == ["a 1.0.0", "b 1.0.0", "c 1.0.0"])
  }

  @Test("what an abandoned choice would have needed is not left behind")
  func abandoned() throws {
    let chosen = try resolved(
      ["a", "b"], try catalog("a 2.0.0: x *, b <1.0.0", "a 1.0.0", "b 1.0.0", "x 1.0.0"))
    #expect(chosen == ["a 1.0.0", "b 1.0.0"])
  }

  @Test("versions without a manifest for the platform are passed over")
  func platform() throws {
    let catalog = try catalog("web 2.0.0 | windows", "web 1.0.0 | linux", "any 1.0.0 | *", "re 1.0.0 | /lin.*|mac/")
    #expect(try resolved(["web", "any", "re"], catalog) == ["any 1.0.0", "re 1.0.0", "web 1.0.0"])
  }

  @Test("a circle is avoided by an older version")
  func avoidedCircle() throws {
    let catalog = try catalog("a 1.0.0: b *", "b 2.0.0: a *", "b 1.0.0")
    #expect(try resolved(["a"], catalog) == ["a 1.0.0", "b 1.0.0"])
  }

  @Test("the order of wishes and of the catalogue makes no difference")
  func order() throws {
    let lines = ["a 2.0.0: c ^2", "a 1.0.0: c ^1", "b 2.0.0: c ^1", "b 1.0.0: c ^2", "c 1.0.0", "c 2.0.0"]
    let expected = ["a 2.0.0", "b 1.0.0", "c 2.0.0"]
    #expect(try resolved(["a", "b"], try catalog(lines)) == expected)
    #expect(try resolved(["b", "a"], try catalog(lines.reversed())) == expected)
  }

  @Test("more than 63 versions of one component")
  func many() throws {
    let catalog = try catalog((0..<200).map { "lib 1.\($0).0" } + ["web 1.0.0: lib <1.70.0"])
    #expect(try resolved(["web"], catalog) == ["lib 1.69.0", "web 1.0.0"])
    #expect(try resolved(["web", "lib <=1.5.0"], catalog) == ["lib 1.5.0", "web 1.0.0"])
    #expect(
      try resolved(["web", "lib >1.150.0"], catalog).contains(
        "lib is published as 1.199.0, 1.198.0, 1.197.0, 1.196.0, 1.195.0, 1.194.0, 1.193.0, 1.192.0, 1.191.0, 1.190.0 "
          + "and 190 others"))
  }
}

@Suite("Resolver: refusals explain themselves")
struct ResolutionFailureTests {
  private let remedy = "change one of these requirements, or publish a version that fits"

  @Test("a component that nobody published")
  func unpublished() throws {
    #expect(
      try resolved(["web ^1"], try catalog("lib 1.0.0")) == [
        "group kiosks wants web ^1", "web is not published; publish it with `wherry component publish`",
      ])
  }

  @Test("a version that nobody published")
  func unpublishedVersion() throws {
    #expect(
      try resolved(["web ^2"], try catalog("web 1.0.0", "web 1.1.0")) == [
        "group kiosks wants web ^2", "web is published as 1.1.0 and 1.0.0", remedy,
      ])
  }

  @Test("two groups that want different versions")
  func groups() throws {
    #expect(
      try resolved(
        ["web ^1 @ group kiosks, deployment 4", "web ^2 @ group shops, deployment 7", "web * @ group all", "log"],
        try catalog("web 1.0.0", "web 2.0.0", "log 1.0.0")) == [
          "group kiosks, deployment 4 wants web ^1", "group shops, deployment 7 wants web ^2",
          "web is published as 2.0.0 and 1.0.0", remedy,
        ])
  }

  @Test("the chain through dependencies, and only what belongs to it")
  func chain() throws {
    let catalog = try catalog(
      "web 1.0.0: ui ^1, log *", "ui 1.0.0: lib ^1", "ui 1.1.0: lib ^1", "ui 2.0.0: lib ^2", "player 1.0.0: lib ^2",
      "lib 1.0.0", "lib 2.0.0", "log 1.0.0: base *", "base 1.0.0")
    #expect(
      try resolved(["web", "player", "log"], catalog) == [
        "group kiosks wants player *", "group kiosks wants web *", "player 1.0.0 needs lib ^2", "web 1.0.0 needs ui ^1",
        "ui 1.1.0 and 1.0.0 need lib ^1", "lib is published as 2.0.0 and 1.0.0", remedy,
      ])
  }

  @Test("a dependency that is not there")
  func missingDependency() throws {
    #expect(
      try resolved(["web"], try catalog("web 1.0.0: ghost ^1")) == [
        "group kiosks wants web *", "web 1.0.0 needs ghost ^1",
        "ghost is not published; publish it with `wherry component publish`",
      ])
  }

  @Test("a platform that no manifest fits")
  func platform() throws {
    #expect(
      try resolved(["web"], try catalog("web 1.0.0 | windows", "web 2.0.0 | darwin")) == [
        "group kiosks wants web *",
        "web 2.0.0 and 1.0.0 have no manifest for the platform architecture=amd64, os=linux",
        remedy,
      ])
    #expect(
      try resolved(["web ^1"], try catalog("web 1.0.0 | windows", "web 2.0.0"), on: Platform([:])) == [
        "group kiosks wants web ^1", "web 1.0.0 has no manifest for the platform (which has no attributes)", remedy,
      ])
  }

  @Test("circles are named")
  func circle() throws {
    #expect(
      try resolved(["a"], try catalog("a 1.0.0: b *", "b 1.0.0: ?c *", "c 1.0.0: a *")) == [
        "group kiosks wants a *", "a 1.0.0 needs b *", "b 1.0.0 needs c *",
        "these components depend on each other in a circle: a → b → c → a; remove one of the dependencies",
      ])
    #expect(
      try resolved(["a"], try catalog("a 1.0.0: a *")) == [
        "group kiosks wants a *",
        "these components depend on each other in a circle: a → a; remove one of the dependencies",
      ])
  }

  @Test("long lists are cut")
  func longLists() throws {
    let catalog = try catalog((1...30).map { "web 1.\($0).0: lib ^2" } + ["lib 1.0.0"])
    #expect(
      try resolved(["web"], catalog) == [
        "group kiosks wants web *", "web 1.30.0, 1.29.0, 1.28.0 and 27 others need lib ^2", "lib is published as 1.0.0",
        remedy,
      ])
  }
}
