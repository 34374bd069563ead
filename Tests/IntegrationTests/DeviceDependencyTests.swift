import Foundation
import Testing

/// What the device programs link is a budget: each library here is memory on every device.
@Suite struct DeviceDependencyTests {
  /// A debug build links the Swift runtime dynamically; a release must not.
  static let base = ["libc.", "libm.", "ld-linux"]
  static let debugRuntime = ["libgcc_s", "libstdc++", "libswift"]
  static let forbidden = ["Foundation", "dispatch", "BlocksRuntime", "icu"]
  static let budgets = [
    "wherry-agent": ["libmosquitto", "libssl", "libcrypto", "libsqlite3", "libseccomp"],
    "wherry-fetch": ["libcurl", "libarchive", "libisal", "libzstd", "libcrypto", "libssl"],
    "wherry-oci": ["libseccomp"],
    // One beside each container that a script waits for.
    "wherry-docker": [],
    // Static: one runs beside each workload.
    "wherry-shim": [],
  ]
  /// Of the released, stripped programs.
  static let bytesMaximum = [
    "wherry-agent": 11 << 20, "wherry-fetch": 10 << 20, "wherry-oci": 10 << 20, "wherry-docker": 8 << 20,
    "wherry-shim": 1 << 20,
  ]

  private static func libraries(of path: String) throws -> [String] {
    let outcome = try Command.run(["/usr/bin/readelf", "-d", path])
    try #require(outcome.status == 0, "\(outcome.text)")
    return outcome.output.split(separator: "\n").filter { $0.contains("(NEEDED)") }.compactMap { line in
      line.split(separator: "[").last?.split(separator: "]").first.map(String.init)
    }
  }

  @Test(arguments: budgets.keys.sorted()) func linksOnlyWhatItMust(program: String) throws {
    let allowed = Self.base + Self.debugRuntime + (Self.budgets[program] ?? [])
    for library in try Self.libraries(of: Command.program(program)) {
      let isAllowed = allowed.contains { library.hasPrefix($0) } && !Self.forbidden.contains { library.contains($0) }
      #expect(isAllowed, "\(program) links \(library), which is not in its budget")
    }
  }

  @Test(arguments: budgets.keys.sorted()) func theReleasedProgramIsLean(program: String) throws {
    guard let folder = ProcessInfo.processInfo.environment["WHERRY_DEVICE_BIN"] else {
      print("not checked: WHERRY_DEVICE_BIN names no released \(program); provisioning/build.sh --device makes it")
      return
    }
    let path = "\(folder)/\(program)"
    let allowed = Self.base + (Self.budgets[program] ?? [])
    for library in try Self.libraries(of: path) {
      #expect(allowed.contains { library.hasPrefix($0) }, "\(program) links \(library), which is not in its budget")
    }
    let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
    let bytes = try #require(size)
    #expect(bytes <= Self.bytesMaximum[program] ?? 0, "\(program) has grown to \(bytes) bytes")
  }
}
