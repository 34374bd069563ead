import Testing

/// What the device programs link is a budget: each library here is memory on every device.
@Suite struct DeviceDependencyTests {
  static let always = ["libc", "libm", "ld-linux", "libgcc_s", "libstdc++", "libswiftCore", "libswiftGlibc"]
  static let budgets = [
    "wherry-agent": ["libmosquitto", "libssl", "libcrypto", "libsqlite3", "libseccomp", "libswift_Builtin_float"],
    "wherry-fetch": ["libcurl", "libarchive", "libssl", "libcrypto", "libseccomp", "libswift_Builtin_float"],
    "wherry-shim": [],
  ]

  @Test(arguments: budgets.keys.sorted()) func linksOnlyWhatItMust(program: String) throws {
    let outcome = try Command.run(["/usr/bin/readelf", "-d", Command.program(program)])
    try #require(outcome.status == 0, "\(outcome.text)")
    let needed = outcome.output.split(separator: "\n").filter { $0.contains("(NEEDED)") }.compactMap { line in
      line.split(separator: "[").last?.split(separator: "]").first.map(String.init)
    }
    #expect(!needed.isEmpty)
    let allowed = Self.always + (Self.budgets[program] ?? [])
    for library in needed {
      let name = String(library.prefix { $0 != "." })
      #expect(allowed.contains { name.hasPrefix($0) }, "\(program) links \(library), which is not in its budget")
    }
  }
}
