import Testing

/// What the device programs link is a budget: each library here is memory on every device.
@Suite struct DeviceDependencyTests {
  /// The Swift runtime is linked in when released; what must never come with it is named in `forbidden`.
  static let always = ["libc", "libm", "ld-linux", "libgcc_s", "libstdc++", "libswift"]
  static let forbidden = ["Foundation", "dispatch", "BlocksRuntime", "icu"]
  static let budgets = [
    "wherry-agent": ["libmosquitto", "libssl", "libcrypto", "libsqlite3", "libseccomp"],
    "wherry-fetch": ["libcurl", "libarchive", "libcrypto", "libssl"],
    // Static: one runs beside each workload.
    "wherry-shim": [],
  ]

  @Test(arguments: budgets.keys.sorted()) func linksOnlyWhatItMust(program: String) throws {
    let outcome = try Command.run(["/usr/bin/readelf", "-d", Command.program(program)])
    try #require(outcome.status == 0, "\(outcome.text)")
    let needed = outcome.output.split(separator: "\n").filter { $0.contains("(NEEDED)") }.compactMap { line in
      line.split(separator: "[").last?.split(separator: "]").first.map(String.init)
    }
    let allowed = Self.always + (Self.budgets[program] ?? [])
    for library in needed {
      let isAllowed = allowed.contains { library.hasPrefix($0) } && !Self.forbidden.contains { library.contains($0) }
      #expect(isAllowed, "\(program) links \(library), which is not in its budget")
    }
  }
}
