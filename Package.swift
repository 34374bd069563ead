// swift-tools-version: 6.1
// One stanza per target, in layer order (L0 at the top). The only arrows allowed point upwards in this
// file; CI builds with --explicit-target-dependency-import-check error. See Docs/architecture.md.
import PackageDescription

/// Packages of the inventory service and the CLI. With `--disable-default-traits` they are neither fetched
/// nor built, which is how the device programs are made.
let service: TargetDependencyCondition? = .when(traits: ["Service"])

let strict: [SwiftSetting] = [.swiftLanguageMode(.v6)]

let package = Package(
  name: "wherry",
  platforms: [.macOS(.v15)],
  traits: [
    .trait(name: "Service", description: "The inventory service and the CLI, with the packages they need."),
    .default(enabledTraits: ["Service"]),
  ],
  dependencies: [
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // L0: words, and C modules that exactly one adapter sees.
    .target(name: "WherryJSON", swiftSettings: strict),
    .target(name: "WherryModel", dependencies: ["WherryJSON"], swiftSettings: strict),
    .systemLibrary(name: "CMosquitto", pkgConfig: "libmosquitto", providers: [.apt(["libmosquitto-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
    .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
    .target(name: "CIsolation", cSettings: [.define("_GNU_SOURCE")]),
    // Sources of its own in place of a module map: the libraries' types are too large for Swift to import.
    .target(name: "CDecompress", linkerSettings: [.linkedLibrary("isal"), .linkedLibrary("zstd")]),

    // L1: the pure core. No I/O, clocks, randomness or Foundation.
    .target(name: "WherryDocker", dependencies: ["WherryJSON", "WherryModel"], swiftSettings: strict),
    .target(
      name: "WherryRecipe",
      dependencies: ["WherryJSON", "WherryModel", "WherryDocker", .product(name: "Yams", package: "Yams")],
      swiftSettings: strict),
    .target(name: "WherryPlanning", dependencies: ["WherryJSON", "WherryModel"], swiftSettings: strict),
    .target(name: "WherryWire", dependencies: ["WherryJSON", "WherryModel"], swiftSettings: strict),
    .target(
      name: "WherryLifecycle", dependencies: ["WherryJSON", "WherryModel", "WherryPlanning", "WherryWire"],
      swiftSettings: strict),
    .target(
      name: "WherryRollout", dependencies: ["WherryJSON", "WherryModel", "WherryWire"], swiftSettings: strict),

    // L2: adapters, one outside thing each.
    .target(name: "WherrySystem", dependencies: ["WherryJSON", "WherryModel", "CIsolation"], swiftSettings: strict),
    .target(name: "WherryCrypto", dependencies: ["WherryModel", "COpenSSL"], swiftSettings: strict),
    .target(name: "WherrySQLite", dependencies: ["CSQLite"], swiftSettings: strict),
    .target(
      name: "WherryDatabase",
      dependencies: ["WherryJSON", "WherryModel", "WherryRollout", "WherryWire", "WherrySQLite"],
      swiftSettings: strict),
    .target(name: "WherryMQTT", dependencies: ["WherryModel", "WherryWire", "CMosquitto"], swiftSettings: strict),
    .target(
      name: "WherryOCI", dependencies: ["WherryJSON", "WherryModel", "WherryCrypto", "CArchive", "CDecompress"],
      swiftSettings: strict),
    .target(
      name: "WherryTransfer", dependencies: ["WherryJSON", "WherryModel", "WherryCrypto", "CCurl"],
      swiftSettings: strict),
    .target(
      name: "WherryIsolation", dependencies: ["WherryJSON", "WherryModel", "WherrySystem", "CIsolation", "CSeccomp"],
      swiftSettings: strict),

    // L3: engines.
    .target(
      name: "WherryClient",
      dependencies: [
        "WherryJSON", "WherryModel", "WherryRecipe", "WherryWire", "WherryCrypto", "WherryOCI", "WherryTransfer",
      ],
      swiftSettings: strict),
    .target(
      name: "WherryInventory",
      dependencies: [
        "WherryJSON", "WherryModel", "WherryRecipe", "WherryPlanning", "WherryRollout", "WherryWire", "WherryCrypto",
        "WherryDatabase", "WherryMQTT", "WherryOCI", "WherryTransfer",
        .product(name: "Hummingbird", package: "hummingbird", condition: service),
        .product(name: "HummingbirdTLS", package: "hummingbird", condition: service),
        .product(name: "Mustache", package: "swift-mustache", condition: service),
      ],
      swiftSettings: strict),
    .target(
      name: "WherryAgent",
      dependencies: [
        "WherryJSON", "WherryModel", "WherryPlanning", "WherryLifecycle", "WherryWire", "WherryDocker",
        "WherryCrypto", "WherrySQLite", "WherryMQTT", "WherryIsolation", "WherrySystem",
      ],
      swiftSettings: strict),

    // L4: programs.
    .executableTarget(
      name: "wherry",
      dependencies: [
        "WherryJSON", "WherryModel", "WherryRecipe", "WherryPlanning", "WherryWire", "WherryCrypto", "WherryOCI",
        "WherryClient", "WherrySimulation",
        .product(name: "ArgumentParser", package: "swift-argument-parser", condition: service),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "wherry-inventory",
      dependencies: [
        "WherryInventory",
        .product(name: "ArgumentParser", package: "swift-argument-parser", condition: service),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "wherry-agent",
      dependencies: ["WherryJSON", "WherryModel", "WherryWire", "WherryCrypto", "WherryAgent"], swiftSettings: strict),
    .executableTarget(
      name: "wherry-fetch",
      dependencies: ["WherryJSON", "WherryModel", "WherryCrypto", "WherryOCI", "WherryTransfer", "WherrySystem"],
      swiftSettings: strict),
    // Reads recipes on a device, where nothing else links a YAML parser.
    .executableTarget(
      name: "wherry-recipe", dependencies: ["WherryJSON", "WherryModel", "WherryRecipe", "WherryWire", "WherrySystem"],
      swiftSettings: strict),
    .executableTarget(
      name: "wherry-oci",
      dependencies: ["WherryJSON", "WherryModel", "WherryIsolation", "WherrySystem", "CIsolation"],
      swiftSettings: strict),
    // `docker` for the scripts of components.
    .executableTarget(
      name: "wherry-docker", dependencies: ["WherryJSON", "WherryModel", "WherryDocker", "WherrySystem", "CIsolation"],
      swiftSettings: strict),
    // One per workload, so its memory counts: static, and without the Swift runtime that SwiftPM links even into C.
    .executableTarget(
      name: "wherry-shim", dependencies: ["CIsolation"], cSettings: [.define("_GNU_SOURCE")],
      linkerSettings: [.unsafeFlags(["-static-executable", "-nostartfiles"])]),

    // Beside the layers.
    .target(
      name: "WherrySimulation",
      dependencies: ["WherryJSON", "WherryModel", "WherryPlanning", "WherryLifecycle", "WherryRollout", "WherryWire"],
      swiftSettings: strict),
    .target(
      name: "WherryTestSupport", dependencies: ["WherryJSON", "WherryModel", "WherryWire"], swiftSettings: strict),
  ]
)

/// Tests mirror the targets; `(target under test, what else the tests import)`.
let tests: [(String, [Target.Dependency])] = [
  ("WherryJSON", []),
  ("WherryModel", ["WherryJSON"]),
  ("WherryRecipe", ["WherryJSON", "WherryModel"]),
  ("WherryPlanning", ["WherryJSON", "WherryModel", "WherryRecipe", "WherryWire"]),
  ("WherryLifecycle", ["WherryJSON", "WherryModel", "WherryPlanning", "WherryWire"]),
  ("WherryRollout", ["WherryJSON", "WherryModel", "WherryWire"]),
  ("WherryWire", ["WherryJSON", "WherryModel"]),
  ("WherryDocker", ["WherryJSON", "WherryModel"]),
  ("WherryCrypto", ["WherryModel"]),
  ("WherrySQLite", []),
  ("WherryDatabase", ["WherryJSON", "WherryModel", "WherryRollout", "WherryWire"]),
  ("WherryMQTT", ["WherryModel", "WherryWire", "WherryCrypto"]),
  ("WherryOCI", ["WherryJSON", "WherryModel", "WherryCrypto", "WherryTransfer"]),
  ("WherryTransfer", ["WherryJSON", "WherryModel", "WherryCrypto"]),
  ("WherryIsolation", ["WherryJSON", "WherryModel"]),
  (
    "WherryClient",
    ["WherryJSON", "WherryModel", "WherryRecipe", "WherryWire", "WherryCrypto", "WherryOCI", "WherryTransfer"]
  ),
  (
    "WherryAgent",
    [
      "WherryJSON", "WherryModel", "WherryPlanning", "WherryLifecycle", "WherryWire", "WherryDocker", "WherryCrypto",
      "WherrySQLite", "WherryIsolation", "CFaultDisk",
    ]
  ),
  (
    "WherryInventory",
    [
      "WherryJSON", "WherryModel", "WherryWire", "WherryDatabase", "WherryRollout", "WherryCrypto", "WherryPlanning",
      "WherryRecipe", "WherryOCI",
    ]
  ),
  (
    "WherrySimulation",
    ["WherryJSON", "WherryModel", "WherryLifecycle", "WherryRollout", "WherryWire", "WherryPlanning"]
  ),
]
// The clock around the resolver; `Tests/Benchmarks/run.sh resolve` runs it.
package.targets.append(
  .executableTarget(
    name: "benchmark-resolve", dependencies: ["WherryModel", "WherryPlanning"], path: "Tests/Benchmarks/Resolve",
    swiftSettings: strict))
// The service's engine without its network; `run.sh plan` runs it.
package.targets.append(
  .executableTarget(
    name: "benchmark-plan",
    dependencies: ["WherryModel", "WherryWire", "WherryCrypto", "WherryDatabase", "WherryOCI", "WherryInventory"],
    path: "Tests/Benchmarks/Plan", swiftSettings: strict))
// The isolation engine by itself; `run.sh start`, `start-many` and `overhead` run it.
package.targets.append(
  .executableTarget(
    name: "benchmark-start", dependencies: ["WherryModel", "WherryIsolation"], path: "Tests/Benchmarks/Start",
    swiftSettings: strict))
// A file system that forgets, for the tests of what survives a power cut.
package.targets.append(.target(name: "CFaultDisk", dependencies: ["CSQLite"], path: "Tests/CFaultDisk"))
for (name, others) in tests {
  package.targets.append(
    .testTarget(
      name: name + "Tests", dependencies: [.init(stringLiteral: name), "WherryTestSupport"] + others,
      swiftSettings: strict))
}
package.targets.append(.testTarget(name: "TidyTests", dependencies: [], swiftSettings: strict))
package.targets.append(
  .testTarget(
    name: "IntegrationTests",
    dependencies: ["WherryJSON", "WherryModel", "WherryWire", "WherryClient", "WherryTestSupport"],
    swiftSettings: strict))
