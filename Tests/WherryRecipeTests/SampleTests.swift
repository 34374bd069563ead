import Testing
import WherryModel
import WherryRecipe

/// Recipes of the kind that `components/` holds, word for word in shape.
@Suite("RecipeReader: samples")
struct SampleTests {
  @Test("the process component of the quickstart")
  func hello() throws {
    let recipe = try sound(
      """
      # A process component: one script, one artifact, configuration interpolated into it.
      RecipeFormatVersion: "2020-01-25"
      ComponentName: com.example.hello
      ComponentVersion: "1.0.0"
      ComponentDescription: Greets somebody again and again, in its own namespaces and cgroup.
      ComponentPublisher: Wherry
      ComponentConfiguration:
        DefaultConfiguration:
          name: world
          intervalSeconds: 5
      Manifests:
        - Platform:
            os: linux
          Artifacts:
            - Uri: wherry:hello.sh
              Permission:
                Read: ALL
                Execute: ALL
          Lifecycle:
            Setenv:
              GREETING_NAME: "{configuration:/name}"
            Install: |
              echo "hello installed on {iot:thingName}" > {work:path}/installed
            Run: |
              exec {artifacts:path}/hello.sh {configuration:/intervalSeconds}

      """)
    let manifest = try #require(recipe.manifests.first)
    #expect(manifest.artifacts.map(\.fileName) == ["hello.sh"])
    #expect(manifest.artifacts[0].read == .all && manifest.artifacts[0].execute == .all)
    #expect(
      manifest.lifecycle.steps[.run]?.script == "exec {artifacts:path}/hello.sh {configuration:/intervalSeconds}\n")
    #expect(recipe.defaultConfiguration == ["name": "world", "intervalSeconds": 5])
  }

  @Test("the container component of the quickstart")
  func web() throws {
    let recipe = try sound(
      """
      RecipeFormatVersion: "2020-01-25"
      ComponentName: com.example.web
      ComponentVersion: "1.0.0"
      ComponentConfiguration:
        DefaultConfiguration:
          greeting: Served by Wherry
      Manifests:
        - Platform:
            os: linux
          Container:
            Image: 127.0.0.1:5055/example/web:1.0.0 # image.sh puts the registry in
            Env:
              GREETING: "{configuration:/greeting}"
            User: "1000:1000"
            Ports: ["8080:8080/tcp"]
            Network: bridge
            Resources: { Cpus: 0.5, Memory: 64MiB, Pids: 64 }
            ReadOnlyRoot: true
            Health: { Http: "http://:8080/", Interval: 1s, Timeout: 1s, Retries: 3, StartPeriod: 2s }
            Stop: { Signal: SIGTERM, Timeout: 5s }
            Restart: { Policy: always, MaxBackoff: 5m }
      """)
    let spec = try #require(recipe.manifests.first?.container)
    #expect(spec.image == "127.0.0.1:5055/example/web:1.0.0")
    #expect(spec.ports == [PublishedPort(host: 8080, container: 8080)])
    #expect(spec.health?.probe == .http(port: 8080, path: "/"))
  }

  @Test("a Greengrass recipe as its development kit writes it")
  func developmentKit() throws {
    let recipe = try sound(
      """
      {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": "com.example.PythonHelloWorld",
        "ComponentVersion": "1.0.0",
        "ComponentDescription": "This is simple Hello World component written in Python.",
        "ComponentPublisher": "Somebody",
        "ComponentConfiguration": { "DefaultConfiguration": { "Message": "World" } },
        "ComponentDependencies": {
          "aws.greengrass.Nucleus": { "VersionRequirement": ">=2.0.0 <2.13.0", "DependencyType": "SOFT" }
        },
        "Manifests": [
          {
            "Platform": { "os": "all", "runtime": "*" },
            "Artifacts": [
              {
                "URI": "s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/com.example.PythonHelloWorld.zip",
                "Unarchive": "ZIP"
              }
            ],
            "Lifecycle": {
              "run": "python3 -u {artifacts:decompressedPath}/com.example.PythonHelloWorld/main.py"
            }
          }
        ]
      }
      """)
    #expect(recipe.manifests[0].artifacts[0].unarchive == .zip)
    #expect(recipe.manifests[0].lifecycle.steps[.run]?.script.hasPrefix("python3 -u") == true)
  }
}
