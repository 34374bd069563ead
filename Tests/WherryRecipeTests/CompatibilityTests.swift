import Testing
import WherryModel
import WherryRecipe

@Suite("CompatibilityReport")
struct CompatibilityTests {
  private func report(_ text: String) -> CompatibilityReport {
    CompatibilityReport(RecipeReader.read(text, fileName: "recipe.yaml"))
  }

  @Test("a recipe that only runs scripts runs as it is")
  func plain() {
    let report = report(manifest("Lifecycle: { install: a, run: b }"))
    #expect(report.asIs == ["manifest 0: install, run"])
    #expect(report.mapped.isEmpty && report.cannotRun.isEmpty)
  }

  @Test("Amazon's components are stood in for, and what is not there is said")
  func dependencies() {
    let report = report(
      head
        + """
        ComponentDependencies:
          aws.greengrass.TokenExchangeService: { VersionRequirement: '^2.0.0' }
          aws.greengrass.Nucleus: { VersionRequirement: '>=2.0.3 <2.13.0' }
          aws.greengrass.Unheard: { VersionRequirement: '*' }
          aws.greengrass.Cli: { VersionRequirement: '^3.0.0' }
          com.example.own: { VersionRequirement: '*' }
        Lifecycle: { run: x }

        """)
    #expect(report.mapped.count == 2)
    #expect(report.mapped[1].hasSuffix("a built-in stand-in; not there: AWS credentials for components"))
    #expect(report.cannotRun.count == 2)
    #expect(report.cannotRun[0].hasPrefix("dependency aws.greengrass.Cli ^3.0.0: the built-in stand-in has"))
    #expect(report.cannotRun[1].hasPrefix("dependency aws.greengrass.Unheard *: there is no stand-in"))
    #expect(report.asIs.contains("dependency com.example.own *: publish it, too"))
  }

  @Test("files from elsewhere are mapped, and images are fetched as they are")
  func artifacts() {
    let report = report(
      manifest("Artifacts: [{ URI: s3://b/app.zip }, { Uri: 'docker:nginx:1' }]\nLifecycle: { run: x }"))
    #expect(report.mapped == ["artifact s3://b/app.zip: put the file app.zip beside the recipe; publishing uploads it"])
    #expect(report.asIs.contains { $0.hasPrefix("artifact docker:nginx:1: pinned to a digest when deployed") })
    #expect(report.cannotRun.isEmpty)
  }

  @Test(
    "calls of Docker's command line are found where the shell would run them",
    arguments: [
      ("docker run --rm x", ["docker run"]), ("sudo docker-compose up -d", ["docker-compose up"]),
      ("A=1 exec /usr/bin/docker load -i x || docker rm y", ["docker load", "docker rm"]),
      ("echo docker run\n# docker run\ncat /docker/x", []), ("id=$(docker ps -q)", ["docker ps"]),
    ])
  func docker(script: String, calls: [String]) {
    let body = script.split(separator: "\n").map { "    " + $0 }.joined(separator: "\n")
    let report = report(manifest("Lifecycle:\n  run: |\n\(body)"))
    #expect(
      (report.mapped + report.cannotRun).map { $0.split(separator: "`").dropFirst().first.map(String.init) ?? "" }
        .sorted() == calls.sorted())
  }

  @Test("calls of Docker are carried out, or it is said why not and what to do")
  func dockerVerdicts() {
    let report = report(
      manifest(
        "Lifecycle:\n  run: |\n    docker run --rm -v {work:path}:/w -p ${PORT:-1}:80 \\\n      x:1\n"
          + "    docker compose up"))
    #expect(report.asIs == ["manifest 0: run"], "\(report)")
    #expect(
      report.mapped.first?.hasPrefix("step run calls `docker run`: the agent's own engine carries it out") == true)
    #expect(report.cannotRun.count == 1 && report.mapped.count == 1)
    #expect(report.cannotRun.first?.contains("publish each service as a component of its own") == true)
  }

  @Test("what cannot run at all is told with its reason")
  func refusals() {
    let windows = report(head + "Manifests: [{ Platform: { os: windows }, Lifecycle: { run: x } }]\n")
    #expect(windows.cannotRun == ["no manifest is for Linux; add one with `Platform: { os: linux }`"])
    #expect(report(head + "ComponentType: aws.greengrass.lambda\n").cannotRun.count == 1)
    let access = report(
      head + "ComponentConfiguration: { DefaultConfiguration: { accessControl: { aws.greengrass.ipc.pubsub: {} } } }\n"
        + "Lifecycle: { run: x }\n")
    #expect(access.cannotRun.first?.hasPrefix("accessControl for aws.greengrass.ipc.pubsub") == true)
  }
}
