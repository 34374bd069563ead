import Foundation
import Testing
import WherryJSON

/// 8a. Images that are made here: of files alone, and of a Containerfile where a builder is installed.
extension OnRealParts.StoryTests {
  func building(_ fleet: TestFleet) throws {
    let place = try greeter(fleet)
    let built = try fleet.succeed(["wherry", "component", "build", place]).output
    #expect(built.contains("Pushed wherry:example/greeter:1.0.0"), "\(built)")
    #expect(built.contains("Published com.example.greeter 1.0.0"), "\(built)")
    let image = try inspected("example/greeter:1.0.0", fleet)
    let recipe = try fleet.succeed(["wherry", "component", "show", "com.example.greeter", "1.0.0"]).output
    #expect(recipe.contains("wherry:example/greeter:1.0.0@\(image)"), "\(recipe)")
    let again = try fleet.succeed(["wherry", "component", "build", place]).output
    #expect(again.contains("0 B were sent"), "the same files are the same image: \(again)")

    try "echo changed\n".write(toFile: place + "/app/more", atomically: true, encoding: .utf8)
    let refused = try fleet.wherry("component", "build", place)
    #expect(refused.status == 1 && refused.error.contains("1.0.0"), "\(refused.text)")
    #expect(try inspected("example/greeter:1.0.0", fleet) == image, "the tag stays where it was")

    #if arch(arm64)
      let platform = "linux/arm64"
    #else
      let platform = "linux/amd64"
    #endif
    let layout = fleet.folder + "/greeter-layout"
    try fleet.succeed([
      "wherry", "component", "build", place, "--layout", layout, "--platform", platform,
      "--insecure-registry", "127.0.0.1:\(fleet.registry)",
    ])
    let seen = try fleet.succeed(["/usr/bin/skopeo", "inspect", "--config", "oci:\(layout):1.0.0"]).output
    #expect(seen.contains("/srv/greet"), "\(seen)")
    try containerfile(fleet, layout: layout)
  }

  /// The sample, with a base that is here.
  private func greeter(_ fleet: TestFleet) throws -> String {
    let place = fleet.folder + "/greeter"
    try FileManager.default.copyItem(
      atPath: TestFleet.root + "/components/com.example.greeter/1.0.0", toPath: place)
    let definition = Command.text(place + "/image.yaml")
    let changed = definition.replacingOccurrences(
      of: "docker.io/library/busybox:1.36", with: "wherry:example/own:1.0.0")
    #expect(changed != definition)
    try changed.write(toFile: place + "/image.yaml", atomically: true, encoding: .utf8)
    return place
  }

  private func inspected(_ image: String, _ fleet: TestFleet) throws -> String {
    let output = try fleet.succeed(["wherry", "image", "inspect", image, "--output", "json"]).output
    return try #require(try JSON(parsing: output)["digest"]?.stringValue)
  }

  private func containerfile(_ fleet: TestFleet, layout: String) throws {
    guard let builder = ["buildah", "podman"].first(where: { access("/usr/bin/\($0)", X_OK) == 0 }) else {
      print("skipped: building a Containerfile, since neither buildah nor podman is installed")
      return
    }
    let place = fleet.folder + "/greeter"
    try "FROM scratch\nCOPY app /srv\nARG WORD\nENV WORD=$WORD\n".write(
      toFile: place + "/Containerfile", atomically: true, encoding: .utf8)
    func build(_ target: String) throws -> String {
      try fleet.succeed([
        "wherry", "component", "build", place, "--builder", builder, "--build-arg", "WORD=hi", "--layout", target,
        "--output", "json",
      ]).output
    }
    let first = try build(layout + "-1")
    #expect(first.contains("sha256:") && first.hasPrefix("{"), "the builder's own words are elsewhere: \(first)")
    let digest = try #require(try JSON(parsing: first)["digest"]?.stringValue)
    #expect(try JSON(parsing: build(layout + "-2"))["digest"]?.stringValue == digest)
    let seen = try fleet.succeed(["/usr/bin/skopeo", "inspect", "--config", "oci:\(layout)-1:1.0.0"]).output
    #expect(seen.contains("WORD=hi"), "\(seen)")
    let left = try fleet.succeed(["/usr/bin/\(builder)", "images"]).output
    #expect(!left.contains("wherry-build"), "\(left)")
  }
}
