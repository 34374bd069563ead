import Foundation
import Testing
import WherryJSON

/// 8. Images of the service's own registry: pushed by people, run by devices, with no other registry there.
extension OnRealParts.StoryTests {
  func ownRegistry(_ fleet: TestFleet) throws {
    try pushing(fleet)
    try copying(fleet)
    try password(fleet)
    try building(fleet)
    fleet.stopRegistry()
    try deployment(fleet)
    try foreignBlob(fleet)
    try fleet.startRegistry()
    let back = try fleet.wherry(
      "deploy", "--group", "kiosks", "com.example.hello=2.0.0", "com.example.web=2.0.0", "--watch")
    try #require(back.status == 0, "\(back.text)")
    for device in Self.kiosks { #expect(try fleet.page(device).contains("com.example.web 2.0.0")) }
  }

  private func pushing(_ fleet: TestFleet) throws {
    let layout = fleet.folder + "/image"
    let pushed = try fleet.succeed(["wherry", "image", "push", layout, "example/own"]).output
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
      #expect(pushed.contains("Pushed wherry:example/own:\(version)"), "\(pushed)")
    }
    let again = try fleet.succeed(["wherry", "image", "push", layout, "example/own:1.0.0", "--output", "json"]).output
    #expect(again.contains("\"bytesPushed\":0"), "\(again)")

    let archive = fleet.folder + "/archive.tar"
    try fleet.succeed([
      "/usr/bin/skopeo", "--insecure-policy", "copy", "--quiet", "oci:\(layout):1.0.0",
      "docker-archive:\(archive):example/web:1.0.0",
    ])
    try fleet.succeed(["wherry", "image", "push", archive, "example/archived:1.0.0"])
    let all = try fleet.succeed(["wherry", "image", "list"]).output
    #expect(all.contains("example/own") && all.contains("example/archived"), "\(all)")
    let tags = try fleet.succeed(["wherry", "image", "list", "example/own"]).output
    #expect(tags.contains("1.0.0") && tags.contains("3.0.0"), "\(tags)")
    for reference in ["example/own:1.0.0", "example/archived:1.0.0"] {
      let image = try fleet.succeed(["wherry", "image", "inspect", reference]).output
      #expect(image.contains("/srv/serve") && image.contains("linux/"), "\(image)")
    }
  }

  /// Within the registry, from another one, and to it.
  private func copying(_ fleet: TestFleet) throws {
    let other = "127.0.0.1:\(fleet.registry)"
    func copy(_ source: String, _ destination: String) throws -> String {
      try fleet.succeed(["wherry", "image", "copy", source, destination, "--insecure-registry", other]).output
    }
    let within = try copy("wherry:example/own:2.0.0", "wherry:example/copied:stable")
    #expect(within.contains("taken from the other repository") && within.contains("0 B were sent"), "\(within)")
    let here = try copy("\(other)/example/web:2.0.0", "wherry:example/mirror:2.0.0")
    #expect(here.contains("pushed (3 of 3)"), "\(here)")
    _ = try copy("wherry:example/own:1.0.0", "\(other)/example/back:1.0.0")
    let there = try fleet.succeed([
      "wherry", "image", "inspect", "\(other)/example/back:1.0.0", "--insecure-registry", other, "--output", "json",
    ])
    #expect(try digest(there.output) == digest(of: "example/own:1.0.0", fleet))
  }

  private func digest(_ output: String) throws -> String {
    try #require(try JSON(parsing: output)["digest"]?.stringValue)
  }

  private func digest(of image: String, _ fleet: TestFleet) throws -> String {
    try digest(try fleet.succeed(["wherry", "image", "inspect", image, "--output", "json"]).output)
  }

  /// As registry clients use it.
  private func password(_ fleet: TestFleet) throws {
    let password = try fleet.succeed(["wherry", "registry", "login-password"]).output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    let authority = fleet.data + "/ca.crt"
    let catalog = try fleet.curl(fleet.url + "/v2/_catalog", "--cacert", authority, "-u", "anybody:\(password)")
    #expect(catalog.output.contains("example/own"), "\(catalog.text)")
    let api = try fleet.curl(
      fleet.url + "/v1/fleet", "--cacert", authority, "-H", "Authorization: Bearer \(password)")
    #expect(api.status != 0 && api.error.contains("401"), "it opens the registry alone: \(api.text)")
  }

  private func deployment(_ fleet: TestFleet) throws {
    let folder = fleet.folder + "/own"
    let recipe = Command.text(fleet.folder + "/web/1.0.0/recipe.yaml")
      .replacingOccurrences(of: "ComponentVersion: \"1.0.0\"", with: "ComponentVersion: \"4.0.0\"")
      .replacingOccurrences(of: "127.0.0.1:\(fleet.registry)/example/web", with: "wherry:example/own")
    #expect(recipe.contains("Image: wherry:example/own:1.0.0"), "\(recipe)")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try recipe.write(toFile: folder + "/recipe.yaml", atomically: true, encoding: .utf8)
    try fleet.succeed(["wherry", "component", "publish", folder])
    let deployed = try fleet.wherry(
      "deploy", "--group", "kiosks", "com.example.hello=2.0.0", "com.example.web=4.0.0", "com.example.greeter=1.0.0",
      "--watch")
    try #require(deployed.status == 0, "\(deployed.text)")
    for device in Self.kiosks {
      // The page says which image serves it.
      #expect(try fleet.page(device).contains("com.example.web 1.0.0"))
      let shown = try fleet.succeed(["wherry", "device", "show", device]).output
      #expect(shown.contains("com.example.web=4.0.0 RUNNING"), "\(shown)")
      #expect(shown.contains("com.example.greeter=1.0.0 RUNNING"), "\(shown)")
      let log = try fleet.succeed(["wherry", "device", "logs", device, "com.example.greeter"]).output
      #expect(log.contains("greeter: hello, the fleet"), "\(log)")
    }
  }

  /// A device's certificate opens what the device was told to run, and nothing else.
  private func foreignBlob(_ fleet: TestFleet) throws {
    let trust = fleet.folder + "/kiosk-1/lib/trust"
    func status(_ digest: String) throws -> Outcome {
      try fleet.curl(
        "https://127.0.0.1:\(fleet.devices)/v1/blobs/\(digest)", "--cacert", fleet.data + "/ca.crt", "--cert",
        trust + "/device.crt", "--key", trust + "/device.key", "-o", "/dev/null")
    }
    let ordered = try status(try digest(of: "example/own:1.0.0", fleet))
    #expect(ordered.status == 0, "\(ordered.text)")
    let foreign = try status(try digest(of: "example/own:3.0.0", fleet))
    #expect(foreign.status != 0 && foreign.error.contains("403"), "\(foreign.text)")
  }
}
