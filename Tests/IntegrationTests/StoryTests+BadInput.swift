import Foundation
import Glibc
import Testing

/// What a person gets wrong, and what goes wrong around a device: one sentence each that says what, where and how to
/// mend it, and nothing half-applied.
extension OnRealParts.StoryTests {
  func badInput(_ fleet: TestFleet) throws {
    try badRecipes(fleet)
    try badRegistries(fleet)
    try fullDisk(fleet)
  }

  private func write(_ recipe: String, to folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try recipe.write(toFile: folder + "/recipe.yaml", atomically: true, encoding: .utf8)
  }

  private func recipe(_ name: String, _ manifests: String, version: String = "1.0.0") -> String {
    """
    RecipeFormatVersion: "2020-01-25"
    ComponentName: \(name)
    ComponentVersion: "\(version)"
    \(manifests)

    """
  }

  private func badRecipes(_ fleet: TestFleet) throws {
    let before = try fleet.succeed(["wherry", "component", "list"]).output
    let name = "com.example.wrong"
    let cases = [
      (recipe(name, "Manifest: []"), "unknown key \"Manifest\" in a recipe; did you mean Manifests?"),
      (recipe(name, "Manifests: {}"), "expected a list, found a map; begin each entry with `- `"),
      (recipe(name, "Manifests: [{ Lifecycle: { Run: x } }]", version: "1.0"), "version \"1.0\" is not complete"),
      (
        recipe(name, "Manifests: [{ Artifacts: [{ Uri: wherry:absent.sh }], Lifecycle: { Run: x } }]"),
        "absent.sh is a file; put it there or mend the Uri"
      ),
    ]
    for (index, (text, sentence)) in cases.enumerated() {
      let folder = fleet.folder + "/wrong-\(index)"
      try write(text, to: folder)
      let refused = try fleet.wherry("component", "publish", folder)
      #expect(refused.status == 1)
      #expect(refused.error.contains(folder + "/recipe.yaml"), "it must say where: \(refused.error)")
      #expect(refused.error.contains(sentence), "\(refused.error)")
    }
    #expect(try fleet.succeed(["wherry", "component", "list"]).output == before)
  }

  private func badRegistries(_ fleet: TestFleet) throws {
    let strange = "127.0.0.1:\(fleet.strangeRegistry.port)"
    let cases = [
      ("down", "127.0.0.1:\(fleet.absentRegistry)/example/web:1", "cannot be reached"),
      ("nowhere", "\(strange)/example/web:1", "(status 404)"), ("locked", "\(strange)/secret/web:1", "status 401"),
    ]
    let before = try fleet.succeed(["wherry", "deployment", "list"]).output
    for (name, image, sentence) in cases {
      let folder = fleet.folder + "/" + name
      try write(recipe("com.example.\(name)", "Manifests: [{ Container: { Image: \"\(image)\" } }]"), to: folder)
      try fleet.succeed(["wherry", "component", "publish", folder])
      let refused = try fleet.wherry("deploy", "--group", "kiosks", "com.example.\(name)=1.0.0")
      #expect(refused.status == 1, "\(refused.text)")
      #expect(refused.error.contains(sentence), "\(refused.error)")
      #expect(refused.error.contains(image.split(separator: "/")[0]), "it must say where: \(refused.error)")
    }
    for (options, sentence) in [
      (["--waves", "99,100%"], "wave 1 takes 99 devices"),
      (["--at-most", "planet=1"], "no device of group/kiosks has the label planet"),
      (["--silence", "2h"], "a device is silent after 7200 s"),
    ] {
      let refused = try Command.run(
        ["wherry", "deploy", "--group", "kiosks", "com.example.hello=1.0.0"] + options, environment: fleet.session)
      #expect(refused.status == 1 && refused.error.contains(sentence), "\(refused.text)")
    }
    #expect(try fleet.succeed(["wherry", "deployment", "list"]).output == before, "nothing was deployed")
  }

  /// A device with a small disk: the deployment that does not fit fails, what it fetched is gone, what runs runs on.
  private func fullDisk(_ fleet: TestFleet) throws {
    let home = fleet.folder + "/kiosk-4/lib"
    try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
    try fleet.succeed(["/bin/mount", "-t", "tmpfs", "-o", "size=40m,mode=0755", "tmpfs", home])
    defer { umount2(home, Int32(MNT_DETACH)) }
    try fleet.succeed(["wherry", "group", "create", "cramped"])
    try fleet.provision("kiosk-4", group: "cramped", labels: [])
    try fleet.startAgent("kiosk-4")
    defer {
      fleet.stopAgent("kiosk-4")
      _ = try? Command.run(["wherry-agent", "teardown", "--config", fleet.configuration("kiosk-4")])
    }
    try fleet.succeed(["wherry", "deploy", "--group", "cramped", "com.example.hello=1.0.0", "--watch"])
    let hello = try workload(fleet, "kiosk-4", "com.example.hello")

    let folder = fleet.folder + "/large"
    try write(
      recipe("com.example.large", "Manifests: [{ Artifacts: [{ Uri: wherry:large.bin }], Lifecycle: { Run: x } }]"),
      to: folder)
    try Data(count: 64 << 20).write(to: URL(fileURLWithPath: folder + "/large.bin"))
    try fleet.succeed(["wherry", "component", "publish", folder])
    let deployed = try fleet.wherry(
      "deploy", "--group", "cramped", "com.example.hello=1.0.0", "com.example.large=1.0.0", "--watch")
    #expect(deployed.status == 1)
    #expect(deployed.output.contains("space.short") && deployed.output.contains(home), "\(deployed.text)")
    let incoming = try FileManager.default.contentsOfDirectory(atPath: home + "/blobs/incoming")
    #expect(incoming == [], "partial files are left")
    #expect(try workload(fleet, "kiosk-4", "com.example.hello") == hello, "what runs must not be touched")
    try fleet.succeed(["wherry", "device", "remove", "kiosk-4"])
    try fleet.succeed(["wherry", "group", "delete", "cramped"])
  }
}
