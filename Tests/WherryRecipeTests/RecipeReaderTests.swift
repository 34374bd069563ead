import Testing
import WherryJSON
import WherryModel
import WherryRecipe

@Suite("RecipeReader: what loads")
struct RecipeReaderTests {
  private static let whole = """
    ---
    RecipeFormatVersion: '2020-01-25'
    ComponentName: com.example.HelloWorld
    ComponentVersion: '1.2.3-rc.1'
    ComponentType: aws.greengrass.generic
    ComponentDescription: My first component.
    ComponentPublisher: Amazon
    ComponentConfiguration:
      DefaultConfiguration:
        Message: world
        accessControl:
          aws.greengrass.ipc.pubsub:
            "com.example:pubsub:1": { operations: ["*"], resources: ["*"] }
        numbers: [1, -2.5, 0x10, 1e3, "7"]
        flags: { a: true, b: False, c: null, d: yes, e: ~, f: 007, g: 2020-01-25 }
    ComponentDependencies:
      aws.greengrass.TokenExchangeService:
        VersionRequirement: ^2.0.0
        DependencyType: HARD
      com.example.soft: { VersionRequirement: '>= 2.0.3', DependencyType: soft }
    Manifests:
      - Name: Linux
        Platform: { os: linux, architecture: /amd64|x86/ }
        Lifecycle:
          Setenv: { NAME: "{configuration:/Message}", COUNT: 3 }
          Bootstrap: { Script: exit 0, BootstrapOnRollback: true }
          Install:
            Script: apt-get install x
            RequiresPrivilege: true
            Skipif: "! onpath x"
            Timeout: 900
            Setenv: { A: b }
          Run: python3 -u {artifacts:path}/hello_world.py "{configuration:/Message}"
          Shutdown: "true"
        Artifacts:
          - URI: s3://bucket/folder/hello_world.py
            Unarchive: none
            Permission: { Read: ALL, Execute: owner }
          - Uri: https://example.com/a/b.zip
            Digest: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
            Algorithm: SHA-256
            Unarchive: ZIP
            Size: 12
    """

  @Test("a whole Greengrass recipe")
  func whole() throws {
    let recipe = try sound(Self.whole)
    #expect(recipe.name == "com.example.HelloWorld")
    #expect(recipe.version == Version(1, 2, 3, prerelease: ["rc", "1"]))
    #expect(recipe.summary == "My first component.")
    #expect(recipe.publisher == "Amazon")
    #expect(recipe.defaultConfiguration["numbers"] == [1, -2.5, 16, 1000.0, "7"])
    #expect(
      recipe.defaultConfiguration["flags"]
        == ["a": true, "b": false, "c": nil, "d": "yes", "e": nil, "f": "007", "g": "2020-01-25"])
    #expect(recipe.dependencies["aws.greengrass.TokenExchangeService"]?.kind == .hard)
    #expect(recipe.dependencies["com.example.soft"]?.kind == .soft)
    #expect(recipe.dependencies["com.example.soft"]?.requirement.contains(Version(2, 0, 3)) == true)
    let manifest = try #require(recipe.manifests.first)
    #expect(manifest.platform == ["os": "linux", "architecture": "/amd64|x86/"])
    #expect(manifest.lifecycle.setenv == ["NAME": "{configuration:/Message}", "COUNT": "3"])
    let install = try #require(manifest.lifecycle.steps[.install])
    #expect(install.requiresPrivilege && install.timeoutSeconds == 900 && install.setenv == ["A": "b"])
    #expect(install.skipIf == SkipCondition(test: .onPath("x"), isNegated: true))
    #expect(manifest.lifecycle.steps[.bootstrap]?.bootstrapOnRollback == true)
    #expect(manifest.lifecycle.steps[.shutdown]?.script == "true")
    #expect(manifest.artifacts.map(\.fileName) == ["hello_world.py", "b.zip"])
    #expect(manifest.artifacts[0].read == .all && manifest.artifacts[0].execute == .owner)
    #expect(
      manifest.artifacts[1].digest?.hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(manifest.artifacts[1].unarchive == .zip && manifest.artifacts[1].size == 12)
  }

  @Test("keys in any case, an unquoted format date, bare strings, CRLF, folded scalars")
  func untidy() throws {
    let recipe = try sound(
      """
      recipeFormatVersion: 2020-01-25
      COMPONENTNAME: com.example.untidy
      componentversion: 1.0.0
      Publisher: somebody
      manifests:
        - platform:
            OS: linux
          lifecycle:
            setEnv:
              X: 1
            Install: echo installed
            run:
              script: >-
                exec
                sleep 1
              requiresPrivilege: "true"
              timeout: "30"
          artifacts:
            - uri: "wherry:a.sh"
      """.split(separator: "\n").joined(separator: "\r\n"))
    let run = try #require(recipe.manifests[0].lifecycle.steps[.run])
    #expect(run.script == "exec sleep 1")
    #expect(run.requiresPrivilege && run.timeoutSeconds == 30)
    #expect(recipe.manifests[0].lifecycle.setenv == ["X": "1"])
    #expect(recipe.manifests[0].platform == ["os": "linux"])
    #expect(recipe.publisher == "somebody")
  }

  @Test("settings that the configuration decides are kept as variables")
  func variables() throws {
    let recipe = try sound(
      manifest(
        """
        Lifecycle:
          Run:
            Script: echo "${NAME:-x}"
            RequiresPrivilege: "{configuration:/privileged}"
            Timeout: "{configuration:/timeout}"
        """))
    let run = try #require(recipe.manifests[0].lifecycle.steps[.run])
    #expect(run.requiresPrivilegeVariable == "{configuration:/privileged}" && !run.requiresPrivilege)
    #expect(run.timeoutVariable == "{configuration:/timeout}" && run.timeoutSeconds == nil)
    #expect(run.script == #"echo "${NAME:-x}""#)
  }

  @Test("a component with neither run nor startup, and one with empty steps")
  func nothingToRun() throws {
    let recipe = try sound(manifest("Lifecycle:\n  Install: \"true\"\n  Run:\n  Shutdown: ''"))
    #expect(Set(recipe.manifests[0].lifecycle.steps.keys) == [.install])
    #expect(try sound(manifest("Lifecycle: {}")).manifests[0].lifecycle.isEmpty)
    #expect(try sound(manifest("Lifecycle:\n  Run: { Script: }")).manifests[0].lifecycle.steps[.run]?.script == "")
  }

  @Test("JSON with escapes beyond U+FFFF, tabs and keys without blanks")
  func json() throws {
    let recipe = try sound(
      #"""
      {
      	"RecipeFormatVersion":"2020-01-25",
      	"ComponentName":"com.example.json", "ComponentVersion":"1.0.0",
      	"ComponentConfiguration":{"DefaultConfiguration":{"smile":"\ud83d\ude00","path":"a\/b","slash":"\\ud83d",
      	  "tab":"\t","number":1.5,"flag":true,"none":null,"list":[1,{"a":"b"}]}},
      	"Manifests":[{"Platform":{"os":"linux"},"Lifecycle":{"run":{"Script":"echo \"hi\"\nexit 0\n"}}}]
      }
      """#)
    #expect(
      recipe.defaultConfiguration
        == [
          "smile": "😀", "path": "a/b", "slash": "\\ud83d", "tab": "\t", "number": 1.5, "flag": true, "none": nil,
          "list": [1, ["a": "b"]],
        ])
    #expect(recipe.manifests[0].lifecycle.steps[.run]?.script == "echo \"hi\"\nexit 0\n")
  }

  @Test("a few aliases in a small file")
  func aliases() throws {
    let recipe = try sound(
      head + "ComponentConfiguration:\n  DefaultConfiguration:\n    a: &x { b: 1 }\n    c: *x\nManifests: []\n")
    #expect(recipe.defaultConfiguration == ["a": ["b": 1], "c": ["b": 1]])
  }

  @Test("a shell script full of & and * is not taken for aliases")
  func shell() throws {
    let script = (0..<40).map { "        sleep \($0) &pid ; rm *pid ; case $x in *) ;; esac 2>&1" }
    let text = manifest("Lifecycle:\n  Run: |\n" + script.joined(separator: "\n").replacing("        ", with: "    "))
      .replacing(" &pid", with: " & pid")
    #expect(try sound(text).manifests[0].lifecycle.steps[.run]?.script.contains("*pid") == true)
  }
}

@Suite("RecipeReader: global lifecycle")
struct GlobalLifecycleTests {
  private func steps(_ lifecycle: String, _ manifests: String) throws -> [[LifecycleStep: String]] {
    try sound(head + lifecycle + manifests).manifests.map { $0.lifecycle.steps.mapValues(\.script) }
  }

  @Test("is used by the manifests that have none of their own")
  func fallback() throws {
    let steps = try steps(
      "Lifecycle:\n  Run: global\n",
      "Manifests:\n  - Platform: { os: darwin }\n    Lifecycle: { Run: own }\n  - Platform: { os: linux }\n")
    #expect(steps == [[.run: "own"], [.run: "global"]])
  }

  @Test("sections by selection, at the level of the lifecycle and of a step")
  func sections() throws {
    let steps = try steps(
      """
      Lifecycle:
        Install:
          all: install everywhere
          fast: { Script: install fast }
        Run:
          fast: run fast
        Shutdown: stop

      """, "Manifests:\n  - Selections: [fast]\n    Platform: { os: linux }\n  - Platform: { os: '*' }\n")
    #expect(
      steps == [
        [.install: "install fast", .run: "run fast", .shutdown: "stop"],
        [.install: "install everywhere", .shutdown: "stop"],
      ])
    let whole = try self.steps(
      "Lifecycle:\n  linux:\n    Run: for linux\n  all:\n    Run: for all\n",
      "Manifests:\n  - Platform: { os: linux }\n  - Platform: { os: darwin }\n")
    #expect(whole == [[.run: "for linux"], [.run: "for all"]])
  }

  @Test("of a recipe without manifests")
  func noManifests() throws {
    let recipe = try sound(head + "Lifecycle:\n  Setenv: { A: b }\n  Run: exec x\n")
    #expect(recipe.manifests.isEmpty && recipe.lifecycle.steps[.run]?.script == "exec x")
    #expect(recipe.lifecycle.setenv == ["A": "b"])
  }

  @Test("never reaches a container")
  func containers() throws {
    let recipe = try sound(
      head + "Lifecycle:\n  Run: x\nManifests:\n  - Container: { Image: example/web:1 }\n")
    #expect(recipe.manifests[0].lifecycle.isEmpty)
  }
}
