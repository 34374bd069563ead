import Testing
import WherryModel
import WherryPlanning

@Suite("ManifestSelector")
struct ManifestSelectorTests {
  private func chosen(_ platforms: [[String: String]], on device: [String: String]) -> String? {
    var recipe = Recipe(name: "a", version: Version(1, 0, 0))
    recipe.manifests = platforms.enumerated().map { index, platform in
      var manifest = Manifest()
      manifest.name = String(index)
      manifest.platform = platform
      return manifest
    }
    return ManifestSelector.select(recipe, for: Platform(device))?.name
  }

  private let pi = ["os": "linux", "architecture": "aarch64", "architecture.detail": "cortex-a72", "camera": "yes"]

  @Test("the first that fits")
  func first() {
    #expect(chosen([["os": "windows"], ["os": "linux"], [:]], on: pi) == "1")
    #expect(chosen([[:], ["os": "linux"]], on: pi) == "0")
    #expect(chosen([["os": "windows"], ["os": "darwin"]], on: pi) == nil)
    #expect(chosen([], on: pi) == "")
  }

  @Test("words in any case, wildcards, own attributes, several at once")
  func words() {
    #expect(chosen([["OS": "Linux"]], on: pi) == "0")
    #expect(chosen([["os": "*", "architecture": "ALL"]], on: pi) == "0")
    #expect(chosen([["os": "any"]], on: [:]) == "0")
    #expect(chosen([["camera": "yes"]], on: pi) == "0")
    #expect(chosen([["camera": "no"]], on: pi) == nil)
    #expect(chosen([["gpu": "yes"]], on: pi) == nil)
    #expect(chosen([["os": "linux", "architecture": "amd64"]], on: pi) == nil)
    #expect(chosen([["os": "linux", "runtime": "aws_nucleus_lite"]], on: pi) == "0")
  }

  @Test("regular expressions match the whole value")
  func regex() {
    #expect(chosen([["architecture": "/amd64|aarch64/"]], on: pi) == "0")
    #expect(chosen([["architecture": "/aarch/"]], on: pi) == nil)
    #expect(chosen([["architecture.detail": "/cortex-.*/"]], on: pi) == "0")
    #expect(chosen([["os": "/(/"], ["os": "linux"]], on: pi) == "1")
    #expect(chosen([["os": "//"]], on: ["os": ""]) == nil)
    #expect(chosen([["os": "/"]], on: pi) == nil)
  }
}
