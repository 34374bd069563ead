import WherryJSON
import WherryModel

/// Operating system and processor in Go's words, as images carry them.
package struct ImagePlatform: Hashable, Sendable, CustomStringConvertible {
  package let os: String
  package let architecture: String
  package let variant: String

  package init(os: String, architecture: String, variant: String = "") {
    self.os = os
    self.architecture = architecture
    self.variant = variant
  }

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    os = try cursor.require("os").string()
    architecture = try cursor.require("architecture").string()
    variant = try cursor.optional("variant")?.string() ?? ""
  }

  package var description: String { "\(os)/\(architecture)" + (variant.isEmpty ? "" : "/\(variant)") }

  /// What builders enter for documents that are no images, such as attestations.
  var isUnknown: Bool { os == "unknown" || architecture == "unknown" }

  /// What runs on a device with these attributes, the best first. Of `amd64` only the first variant is certain where
  /// `architecture.detail` does not say more, in GCC's words: `x86-64-v3`.
  package static func runnable(on platform: Platform) -> [ImagePlatform] {
    let os = platform.attributes["os"]?.lowercased() ?? "linux"
    let detail = platform.attributes["architecture.detail"]?.lowercased() ?? ""
    func with(_ architecture: String, _ variants: [String]) -> [ImagePlatform] {
      variants.map { ImagePlatform(os: os, architecture: architecture, variant: $0) }
    }
    switch platform.attributes["architecture"]?.lowercased() ?? "" {
    case "amd64", "x86_64": return with("amd64", amd64Variants(detail))
    case "arm64", "aarch64": return with("arm64", detail.hasPrefix("armv9") ? ["v9", "v8", ""] : ["v8", ""])
    case "x86", "386", "i386", "i686": return with("386", [""])
    case "arm" where detail.hasPrefix("armv5"): return with("arm", ["v5"])
    case "arm" where detail.hasPrefix("armv6"): return with("arm", ["v6", "v5"])
    case "arm" where detail.hasPrefix("armv8"): return with("arm", ["v8", "v7", "", "v6", "v5"])
    case "arm": return with("arm", ["v7", "", "v6", "v5"])
    case let other: return with(other, [""])
    }
  }

  private static func amd64Variants(_ detail: String) -> [String] {
    switch detail {
    case "x86-64-v4": ["v4", "v3", "v2", "", "v1"]
    case "x86-64-v3": ["v3", "v2", "", "v1"]
    case "x86-64-v2": ["v2", "", "v1"]
    default: ["", "v1"]
    }
  }
}
