import Testing
import WherryJSON
import WherryModel
import WherryPlanning
import WherryRecipe
import WherryWire

/// From recipes as people write them to the whole plan.
@Suite("Golden plans")
struct GoldenPlanTests {
  private static let hello = """
    RecipeFormatVersion: "2020-01-25"
    ComponentName: com.example.hello
    ComponentVersion: "1.0.0"
    ComponentConfiguration:
      DefaultConfiguration: { name: world, intervalSeconds: 5 }
    ComponentDependencies:
      com.example.base: { VersionRequirement: "^2.0.0", DependencyType: SOFT }
    Manifests:
      - Platform: { os: windows }
        Lifecycle: { Run: never }
      - Platform: { os: linux }
        Artifacts:
          - Uri: wherry:hello.sh
            Digest: sha256:00000000000000000000000000000000000000000000000000000000000000aa
            Size: 120
            Permission: { Read: ALL, Execute: ALL }
          - Uri: https://example.com/data/model.zip
            Digest: sha256:00000000000000000000000000000000000000000000000000000000000000ab
            Size: 9000
            Unarchive: ZIP
        Lifecycle:
          Setenv: { GREETING_NAME: "{configuration:/name}" }
          Install: { Script: ./install, Timeout: 600 }
          Run: exec {artifacts:path}/hello.sh
    """

  private static let base = """
    RecipeFormatVersion: "2020-01-25"
    ComponentName: com.example.base
    ComponentVersion: "VERSION"
    Lifecycle:
      Startup: start-base VERSION
      Shutdown: stop-base
    """

  private static let web = """
    RecipeFormatVersion: "2020-01-25"
    ComponentName: com.example.web
    ComponentVersion: "VERSION"
    ComponentConfiguration: { DefaultConfiguration: { greeting: hi, limits: { clients: 5 } } }
    Lifecycle: { Run: not for containers }
    Manifests:
      - Container: { Image: "registry.example.com/team/web:VERSION", Ports: ["8080:80", "53:53/udp"] }
    """

  private static func catalog() throws -> Catalog {
    let texts = [
      hello, base.replacing("VERSION", with: "2.0.0"), base.replacing("VERSION", with: "2.1.0"),
      base.replacing("VERSION", with: "3.0.0"), web.replacing("VERSION", with: "1.0.0"),
      web.replacing("VERSION", with: "2.0.0"),
    ]
    return Catalog(
      entries: try texts.enumerated().map { index, text in
        let reading = RecipeReader.read(text, fileName: "recipe.yaml")
        let recipe = try #require(reading.recipe, "\(reading.problems)")
        // The service keeps recipes as canonical JSON: nothing may get lost on that way.
        #expect(try Recipe(JSONCursor(JSON(parsing: recipe.json.canonical))) == recipe)
        return CatalogEntry(recipe: recipe, digest: digest(index))
      })
  }

  private static func image(_ version: String) -> PlannedImage {
    let layers = [0xB0, 0xB1].map {
      PlannedLayer(digest: digest($0), size: Int64($0), compression: .gzip, diffID: digest($0 + 16))
    }
    return PlannedImage(
      reference: "registry.example.com/team/web:\(version)", registry: "https://registry.example.com",
      repository: "team/web", manifest: digest(0xC0), layers: layers)
  }

  private static let images = [
    "registry.example.com/team/web:1.0.0": image("1.0.0"), "registry.example.com/team/web:2.0.0": image("2.0.0"),
  ]

  private func compose(_ roots: [DeploymentRoots]) throws -> Plan {
    let plan = try PlanComposer.compose(
      roots: roots, catalog: try Self.catalog(), platform: linux, images: Self.images)
    #expect(PlanChecker.problems(in: plan) == [])
    #expect(try Plan(JSONCursor(JSON(parsing: plan.canonical))) == plan)
    return plan
  }

  @Test("a process component with a dependency that comes along")
  func process() throws {
    let plan = try compose([deployment(4, ["com.example.hello": deployed("1.0.0")])])
    #expect(
      plan.text == """
        deployments 4; ROLLBACK, settle 3000 ms, timeout 1800 s
        com.example.base 2.1.0, recipe 02
          startup: start-base 2.1.0
          shutdown: stop-base
          defaults {}
        com.example.hello 1.0.0, recipe 00
          after com.example.base SOFT
          env GREETING_NAME={configuration:/name}
          install within 600 s: ./install
          run: exec {artifacts:path}/hello.sh
          file hello.sh from wherry: aa, 120 bytes, NONE, read ALL, execute ALL
          file model.zip from https://example.com/data/model.zip ab, 9000 bytes, ZIP, read OWNER, execute NONE
          defaults {"intervalSeconds":5,"name":"world"}
        """)
  }

  @Test("a container component")
  func container() throws {
    let plan = try compose([deployment(1, ["com.example.web": deployed("^1.0.0")])])
    #expect(
      plan.text == """
        deployments 1; ROLLBACK, settle 3000 ms, timeout 1800 s
        com.example.web 1.0.0, recipe 04
          container registry.example.com/team/web:1.0.0 on bridge
            port 8080:80/tcp
            port 53:53/udp
          image https://registry.example.com/team/web@c0
            layer b0, 176 bytes
            layer b1, 177 bytes
          defaults {"greeting":"hi","limits":{"clients":5}}
        """)
  }

  @Test("what is not there is left out of the canonical text, not written as null")
  func absence() throws {
    let plan = try compose([deployment(1, ["com.example.web": deployed("*"), "com.example.hello": deployed("*")])])
    #expect(!plan.canonical.contains("null"))
    let recipe = try #require(try Self.catalog()["com.example.web", Version(1, 0, 0)])
    #expect(!recipe.json.canonical.contains("null"))
  }

  @Test("several deployments: the union of what they want, the newer configures on top of the older")
  func several() throws {
    var apply = ApplyPolicy()
    apply.failureHandling = .doNothing
    apply.settleMilliseconds = 10
    let plan = try compose([
      deployment(
        9, ["com.example.web": deployed("*", reset: ["/limits"], merge: ["greeting": "nine"])], apply: apply),
      deployment(
        7,
        [
          "com.example.web": deployed(
            "<2.0.0 || ^2", reset: ["/greeting"], merge: ["greeting": "seven", "limits": ["clients": 1], "x": nil]),
          "com.example.base": deployed("2.0.0"),
        ]),
    ])
    #expect(
      plan.text == """
        deployments 7, 9; DO_NOTHING, settle 10 ms, timeout 1800 s
        com.example.base 2.0.0, recipe 01
          startup: start-base 2.0.0
          shutdown: stop-base
          defaults {}
        com.example.web 2.0.0, recipe 05
          container registry.example.com/team/web:2.0.0 on bridge
            port 8080:80/tcp
            port 53:53/udp
          image https://registry.example.com/team/web@c0
            layer b0, 176 bytes
            layer b1, 177 bytes
          defaults {"greeting":"hi","limits":{"clients":5}}
          reset /greeting /limits
          merge {"greeting":"nine","x":null}
        """)
  }

  @Test("nothing wanted: an empty plan, which takes everything away")
  func nothing() throws {
    #expect(try compose([]).text == "deployments ; ROLLBACK, settle 3000 ms, timeout 1800 s")
  }

  @Test("the plan does not depend on the order of deployments or recipes")
  func determinism() throws {
    let roots = [
      deployment(1, ["com.example.web": deployed("*"), "com.example.hello": deployed("*")]),
      deployment(2, ["com.example.base": deployed("^2"), "com.example.web": deployed("1.0.0")]),
    ]
    let first = try compose(roots).canonical
    #expect(try compose(roots.reversed()).canonical == first)
  }
}
