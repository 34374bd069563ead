import Foundation
import Testing

/// What somebody deploys on a device itself, beside the service's orders, all on real parts.
extension OnRealParts.StoryTests {
  func localDeployments(_ fleet: TestFleet) throws {
    let device = "kiosk-2"
    let configuration = ["--config", fleet.configuration(device)]
    let (recipes, artifacts) = try prepareLocally(fleet)
    let deploy = ["wherry-agent", "deploy"] + configuration + ["--recipe-dir", recipes, "--artifact-dir", artifacts]
    let forbidden = try Command.run(deploy + ["--merge", "com.example.gauge=1.0.0"])
    #expect(forbidden.status == 1 && forbidden.error.contains("local_deployments = on"), "\(forbidden.text)")
    fleet.stopAgent(device)
    let file = fleet.configuration(device)
    try (Command.text(file) + "\nlocal_deployments = on\n").write(toFile: file, atomically: true, encoding: .utf8)
    try fleet.startAgent(device)
    try Command.eventually("the agent answers") {
      try Command.run(["wherry-agent", "status"] + configuration).status == 0
    }

    let web = try workload(fleet, device, "com.example.web")
    let done = try Command.run(deploy + ["--merge", "com.example.gauge=1.0.0", "--watch"])
    #expect(done.status == 0 && done.output.contains("committed"), "\(done.text)\n\(fleet.log("\(device)/agent.log"))")
    let listed = try fleet.succeed(["wherry-agent", "components"] + configuration).output
    #expect(listed.contains("com.example.gauge") && listed.contains("local"), "\(listed)")
    #expect(try workload(fleet, device, "com.example.web") == web, "what the service ordered kept its process")
    try Command.eventually("the gauge writes") {
      try fleet.succeed(["wherry-agent", "logs", "com.example.gauge"] + configuration).output.contains("gauge bar 1 ok")
    }
    try Command.eventually("the service knows that it is local") {
      try fleet.succeed(["wherry", "device", "show", device]).output.contains("com.example.gauge=1.0.0 RUNNING (local)")
    }
    #expect(try fleet.succeed(["wherry", "why", device]).output.contains("deployed on the device itself"))
    try localRefusals(fleet, deploy, configuration)
    try localRest(fleet, device, deploy, configuration)
  }

  /// One recipe in YAML with an artifact, and a dependency in JSON.
  private func prepareLocally(_ fleet: TestFleet) throws -> (recipes: String, artifacts: String) {
    let recipes = fleet.folder + "/local/recipes"
    let artifacts = fleet.folder + "/local/artifacts"
    let files = [
      recipes + "/com.example.gauge-1.0.0.yaml": """
      RecipeFormatVersion: 2020-01-25
      ComponentName: com.example.gauge
      ComponentVersion: 1.0.0
      ComponentConfiguration:
        DefaultConfiguration: {unit: bar}
      ComponentDependencies:
        com.example.base: {VersionRequirement: ">= 1.0.0"}
      Manifests:
        - Platform: {os: linux}
          Lifecycle:
            Run: exec sh {artifacts:path}/gauge.sh {configuration:/unit}
          Artifacts:
            - URI: file:///nowhere/gauge.sh
              Permission: {Read: ALL}
      """,
      recipes + "/com.example.broken.json": """
      {"RecipeFormatVersion": "2020-01-25", "ComponentName": "com.example.broken", "ComponentVersion": "1.0.0",
       "Manifests": [{"Lifecycle": {"Run": "echo it cannot work; exit 3"}}]}
      """,
      recipes + "/com.example.base.json": """
      {"RecipeFormatVersion": "2020-01-25", "ComponentName": "com.example.base", "ComponentVersion": "1.2.0",
       "Manifests": [{"Lifecycle": {"Install": "true"}}]}
      """,
      recipes + "/com.example.web.json": """
      {"RecipeFormatVersion": "2020-01-25", "ComponentName": "com.example.web", "ComponentVersion": "9.0.0",
       "Manifests": [{"Lifecycle": {"Run": "sleep 9"}}]}
      """,
      artifacts + "/com.example.gauge/1.0.0/gauge.sh": """
      n=0; while :; do n=$((n + 1)); echo "gauge $1 $n ok"; sleep 1; done
      """,
    ]
    for (path, text) in files {
      let folder = path[..<(path.lastIndex(of: "/") ?? path.endIndex)]
      try FileManager.default.createDirectory(atPath: String(folder), withIntermediateDirectories: true)
      try text.write(toFile: path, atomically: true, encoding: .utf8)
    }
    return (recipes, artifacts)
  }

  private func localRefusals(_ fleet: TestFleet, _ deploy: [String], _ configuration: [String]) throws {
    let broken = try Command.run(deploy + ["--merge", "com.example.broken=1.0.0", "--watch"])
    #expect(broken.status == 1 && broken.output.contains("rolledBack"), "\(broken.text)")
    #expect(broken.output.contains("it cannot work"), "with its last lines: \(broken.text)")
    let id = broken.output.split(separator: " ").first.map(String.init) ?? ""
    let status = try Command.run(["wherry-agent", "deploy", "status", id] + configuration)
    #expect(status.status == 1 && status.output.contains("rolledBack"), "\(status.text)")
    #expect(try fleet.succeed(["wherry-agent", "deploy", "list"] + configuration).output.contains("rolledBack"))
    for (arguments, sentence) in [
      (["--merge", "com.example.none=1.0.0"], "no recipe of com.example.none"),
      (["--merge", "com.example.gauge=9.0.0"], "is here as 1.0.0"),
      (["--merge", "com.example.web=9.0.0"], "the service wants com.example.web"),
      (["--remove", "com.example.web"], "ordered by the service"),
      (["--remove", "com.example.base"], "com.example.gauge needs it"),
      (["--merge", "com.example.gauge=1.0.0", "--update-config", "{\"x\": 1}"], "cannot be used"),
    ] {
      let refused = try Command.run(deploy + arguments)
      #expect(refused.status == 1 && refused.error.contains(sentence), "\(arguments): \(refused.text)")
    }
    #expect(try Command.run(deploy + ["--merge", "com.example.gauge"]).status == 2)
    let file = fleet.folder + "/local/recipes/bad.yaml"
    try "RecipeFormatVersion: 2020-01-25\nComponentNam: x\n".write(toFile: file, atomically: true, encoding: .utf8)
    let bad = try Command.run(deploy + ["--merge", "com.example.gauge=1.0.0"])
    #expect(bad.status == 1 && bad.error.contains("bad.yaml, line"), "\(bad.text)")
    try String(repeating: "# long\n", count: 200_000).write(toFile: file, atomically: true, encoding: .utf8)
    #expect(
      try Command.run(deploy + ["--merge", "com.example.gauge=1.0.0"]).error.contains("is the limit of a recipe"))
    try FileManager.default.removeItem(atPath: file)
  }

  /// Killed agents, configuration, the service's next order, and the end.
  private func localRest(
    _ fleet: TestFleet, _ device: String, _ deploy: [String], _ configuration: [String]
  ) throws {
    let update = ["--update-config", "{\"com.example.gauge\": {\"MERGE\": {\"unit\": \"psi\"}}}"]
    let begun = try Command.run(["wherry-agent", "deploy"] + configuration + update)
    #expect(begun.status == 0 && begun.output.contains("has begun"), "\(begun.text)")
    fleet.killAgent(device)
    try fleet.startAgent(device)
    try Command.eventually("it goes on after the kill") {
      try Command.run(["wherry-agent", "deploy", "status"] + configuration).output.contains("committed")
    }
    try Command.eventually("the gauge has its new unit") {
      try fleet.succeed(["wherry-agent", "logs", "com.example.gauge"] + configuration).output.contains("gauge psi 2 ok")
    }
    let gauge = try workload(fleet, device, "com.example.gauge")
    let hello = try Command.run(
      ["wherry", "deploy", "--device", device, "com.example.hello=2.0.0", "--watch"], environment: fleet.session)
    #expect(hello.status == 0, "\(hello.text)")
    #expect(try workload(fleet, device, "com.example.gauge") == gauge, "the service's order left it alone")
    let removed = try Command.run(
      ["wherry-agent", "deploy"] + configuration + ["--remove", "com.example.gauge", "--watch"])
    #expect(removed.status == 0, "\(removed.text)")
    let left = try fleet.succeed(["wherry-agent", "components"] + configuration).output
    #expect(!left.contains("com.example.gauge") && !left.contains("com.example.base"), "\(left)")
    #expect(left.contains("com.example.web") && left.contains("com.example.hello"), "\(left)")
  }
}
