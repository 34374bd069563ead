import Testing
import WherryModel
import WherryRecipe

/// Text, and the one problem that it has.
private let table: [(text: String, problem: String)] = [
  // The recipe itself
  ("", "line 1, column 1: recipe.yaml is empty; begin with `RecipeFormatVersion: \"2020-01-25\"`"),
  ("- a\n", "line 1, column 1: expected a map, found a list; write `Key: value` lines, indented"),
  (
    "ComponentName: a\nComponentVersion: 1.0.0\nManifests: []\n",
    "line 1, column 1: RecipeFormatVersion is missing; add `RecipeFormatVersion: \"2020-01-25\"`"
  ),
  (
    "RecipeFormatVersion: 2021-01-01\nComponentName: a\nComponentVersion: 1.0.0\nManifests: []\n",
    "line 1, column 22 (/RecipeFormatVersion): RecipeFormatVersion \"2021-01-01\" is not known; write \"2020-01-25\""
  ),
  (
    "RecipeFormatVersion: 2020-01-25\nComponentName: a b\nComponentVersion: 1.0.0\nManifests: []\n",
    "line 2, column 16 (/ComponentName): component name \"a b\" is not valid; use 1 to 128 letters, digits, `-`, `_` "
      + "or `.`, starting with a letter or digit"
  ),
  (
    "RecipeFormatVersion: 2020-01-25\nComponentName: a\nComponentVersion: 1.0\nManifests: []\n",
    "line 3, column 19 (/ComponentVersion): version \"1.0\" is not complete; write \"1.0.0\""
  ),
  (
    "RecipeFormatVersion: 2020-01-25\nComponentName: a\nComponentVersion: latest\nManifests: []\n",
    "line 3, column 19 (/ComponentVersion): version \"latest\" is not a semantic version; write major.minor.patch, "
      + "such as \"1.0.0\" or \"1.0.0-rc.1\", with numbers of at most 6 digits without leading zeros"
  ),
  (
    head + "Manifest: []\n",
    "line 4, column 1 (/Manifest): unknown key \"Manifest\" in a recipe; did you mean Manifests?"
  ),
  (
    head + "ComponentType: aws.greengrass.lambda\nManifests: []\n",
    "line 4, column 16 (/ComponentType): ComponentType \"aws.greengrass.lambda\" cannot run here: Wherry has no Java "
      + "virtual machine or Lambda runtime for it; use aws.greengrass.generic, or leave ComponentType out"
  ),
  (
    head + "Manifests: []\nmanifests: []\n",
    "line 5, column 1 (/manifests): the key Manifests is given twice (case does not matter); keep one of them"
  ),
  (
    head + "Manifests: {}\n", "line 4, column 12 (/Manifests): expected a list, found a map; begin each entry with `- `"
  ),
  (
    head + "ComponentConfiguration: { DefaultConfiguration: [1] }\nManifests: []\n",
    "line 4, column 49 (/ComponentConfiguration/DefaultConfiguration): expected a map, found a list; write `Key: "
      + "value` lines below DefaultConfiguration"
  ),
  (
    head + "ComponentConfiguration: { DefaultConfiguration: { a: 123456789012345678901 } }\nManifests: []\n",
    "line 4, column 54 (/ComponentConfiguration/DefaultConfiguration/a): the number 123456789012345678901 is too "
      + "large; write it in quotes to keep it as text"
  ),
  (
    head + "ComponentConfiguration: { DefaultConfiguration: { a: 1e999 } }\nManifests: []\n",
    "line 4, column 54 (/ComponentConfiguration/DefaultConfiguration/a): the number 1e999 is too large; write it in "
      + "quotes to keep it as text"
  ),
  (
    head + "ComponentConfiguration: { DefaultConfiguration: { a: .nan } }\nManifests: []\n",
    "line 4, column 54 (/ComponentConfiguration/DefaultConfiguration/a): \".nan\" is not a number that JSON can carry; "
      + "write a finite number, or text in quotes"
  ),
  (
    head + "ComponentDependencies: { com.example.b: { VersionRequirement: newest } }\nManifests: []\n",
    "line 4, column 63 (/ComponentDependencies/com.example.b/VersionRequirement): \"newest\" is not a version "
      + "requirement; write a range such as \"^1.2.0\", \">=1.0.0 <2.0.0\", \"1.x\" or \"*\""
  ),
  (
    head + "ComponentDependencies: { com.example.b: {} }\nManifests: []\n",
    "line 4, column 41 (/ComponentDependencies/com.example.b): VersionRequirement is missing; add `VersionRequirement: "
      + "\"^1.0.0\"`"
  ),
  (
    head
      + "ComponentDependencies: { com.example.b: { VersionRequirement: '*', DependencyType: HART } }\nManifests: []\n",
    "line 4, column 84 (/ComponentDependencies/com.example.b/DependencyType): \"HART\" is not one of HARD, SOFT; did "
      + "you mean HARD?"
  ),
  (
    head + "ComponentDependencies: { com.example.test: { VersionRequirement: '*' } }\nManifests: []\n",
    "line 4, column 26 (/ComponentDependencies/com.example.test): com.example.test depends on itself; remove this "
      + "dependency"
  ),
  (
    "RecipeFormatVersion: 2020-01-25\nComponentName: a\nComponentVersion: '{COMPONENT_VERSION}'\nManifests: []\n",
    "line 3, column 19 (/ComponentVersion): \"{COMPONENT_VERSION}\" is a placeholder; write the value in its place; "
      + "the development kit does so when it builds"
  ),
  // Manifests
  (
    manifest("Plattform: x"),
    "line 6, column 5 (/Manifests/0/Plattform): unknown key \"Plattform\" in a manifest; did you mean Platform?"
  ),
  (
    head + "Manifests:\n  - Platform: { os: '/linux' }\n",
    "line 5, column 21 (/Manifests/0/Platform/os): \"/linux\" lacks the closing slash; write /regex/ or a plain value"
  ),
  (
    head + "Manifests:\n  - Platform: { os: '/(/' }\n",
    "line 5, column 21 (/Manifests/0/Platform/os): \"/(/\" is not a regular expression that is read here; "
      + "write /regex/ or a plain value"
  ),
  // Artifacts
  (
    manifest("Artifacts:\n  - Unarchive: ZIP"),
    "line 7, column 9 (/Manifests/0/Artifacts/0): Uri is missing; add `Uri: wherry:FILE` or `Uri: https://…`"
  ),
  (
    manifest("Artifacts:\n  - Uri: 'wherry:'"),
    "line 7, column 14 (/Manifests/0/Artifacts/0/Uri): the artifact URI \"wherry:\" names no file; write the file's "
      + "name, such as `wherry:app.sh`"
  ),
  (
    manifest("Artifacts:\n  - Uri: wherry:../x"),
    "line 7, column 14 (/Manifests/0/Artifacts/0/Uri): \"wherry:../x\" leads out of the recipe's directory; put the "
      + "file beside the recipe"
  ),
  (
    manifest("Artifacts:\n  - Uri: http://example.com/x"),
    "line 7, column 14 (/Manifests/0/Artifacts/0/Uri): \"http://example.com/x\" is not an artifact URI that Wherry "
      + "reads; use https, or upload the file with `wherry:NAME`"
  ),
  (
    manifest("Artifacts:\n  - Uri: app.sh"),
    "line 7, column 14 (/Manifests/0/Artifacts/0/Uri): \"app.sh\" is not an artifact URI that Wherry reads; write "
      + "`wherry:FILE` for a file beside the recipe, or `https://…`"
  ),
  (
    manifest("Artifacts:\n  - Uri: wherry:a\n  - Uri: https://example.com/a"),
    "line 8, column 9 (/Manifests/0/Artifacts/1): two artifacts have the file name a; rename one: both go into one "
      + "directory"
  ),
  (
    manifest("Artifacts:\n  - Uri: wherry:a\n    Digest: abc"),
    "line 8, column 17 (/Manifests/0/Artifacts/0/Digest): \"abc\" is not a SHA-256 digest; write `sha256:` and 64 "
      + "hexadecimal digits, or leave Digest out: publishing fills it in"
  ),
  (
    manifest("Artifacts:\n  - Uri: wherry:a\n    Algorithm: MD5"),
    "line 8, column 20 (/Manifests/0/Artifacts/0/Algorithm): the digest algorithm \"MD5\" is not known; use SHA-256"
  ),
  (
    manifest("Artifacts:\n  - Uri: wherry:a\n    Unarchive: RAR"),
    "line 8, column 20 (/Manifests/0/Artifacts/0/Unarchive): \"RAR\" is not one of NONE, ZIP, TAR, TAR.GZ, TGZ; did "
      + "you mean TAR?"
  ),
  (
    manifest("Artifacts:\n  - Uri: wherry:a\n    Size: -1"),
    "line 8, column 15 (/Manifests/0/Artifacts/0/Size): \"-1\" is not a whole number from 0 to 1125899906842624; write "
      + "such a number"
  ),
  // Steps
  (
    manifest("Lifecycle:\n  Rum: x"),
    "line 7, column 7 (/Manifests/0/Lifecycle/Rum): unknown key \"Rum\" in a Lifecycle; did you mean Run?"
  ),
  (
    manifest("Lifecycle:\n  Run: { Timeout: 5 }"),
    "line 7, column 12 (/Manifests/0/Lifecycle/Run): the step has no Script; add `Script:` with what it runs, or "
      + "remove the step"
  ),
  (
    manifest("Lifecycle:\n  Run: [a]"),
    "line 7, column 12 (/Manifests/0/Lifecycle/Run): expected a script or a map with Script, found a list; write `Run: "
      + "|` and the script below it"
  ),
  (
    manifest("Lifecycle:\n  Run: { Script: x, RequiresPrivilege: perhaps }"),
    "line 7, column 44 (/Manifests/0/Lifecycle/Run/RequiresPrivilege): \"perhaps\" is neither true nor false; write "
      + "true or false"
  ),
  (
    manifest("Lifecycle:\n  Run: { Script: x, RequiresPrivilege: { configuration:/a } }"),
    "line 7, column 44 (/Manifests/0/Lifecycle/Run/RequiresPrivilege): the variable {configuration:/a} is not in "
      + "quotes and reads as a map; write \"{configuration:/a}\" in quotes"
  ),
  (
    manifest("Lifecycle:\n  Run: { Script: x, Timeout: 0 }"),
    "line 7, column 34 (/Manifests/0/Lifecycle/Run/Timeout): \"0\" is not a whole number from 1 to 2592000; write such "
      + "a number"
  ),
  (
    manifest("Lifecycle:\n  Install: { Script: x, Skipif: present x }"),
    "line 7, column 37 (/Manifests/0/Lifecycle/Install/Skipif): \"present x\" is not a condition for Skipif; write "
      + "`onpath PROGRAM` or `exists FILE`, with `!` before it to turn it round"
  ),
  (
    manifest("Lifecycle:\n  Run: x\n  Startup: y"),
    "line 7, column 7 (/Manifests/0/Lifecycle): a Lifecycle cannot have both Run and Startup; keep Run for a program "
      + "in the foreground, or Startup for one that goes to the background"
  ),
  (
    manifest("Lifecycle:\n  Run: { Script: x, BootstrapOnRollback: true }"),
    "line 7, column 25 (/Manifests/0/Lifecycle/Run/BootstrapOnRollback): unknown key \"BootstrapOnRollback\" in a "
      + "step; known keys are Script, RequiresPrivilege, Setenv, Skipif, Timeout"
  ),
  (
    manifest("Lifecycle:\n  Setenv: { A=B: c }"),
    "line 7, column 17 (/Manifests/0/Lifecycle/Setenv/A=B): \"A=B\" is not the name of a variable; use letters, digits "
      + "and `_`"
  ),
  (
    manifest("Lifecycle:\n  Setenv: { A: [b] }"),
    "line 7, column 20 (/Manifests/0/Lifecycle/Setenv/A): expected text, found a list; write a single value; put it "
      + "into quotes if it holds `{`, `[` or `: `"
  ),
  // Containers
  (
    container("Command: [a]"),
    "line 7, column 7 (/Manifests/0/Container): Image is missing; add `Image: registry.example.com/name:tag`"
  ),
  (
    container("Image: https://example.com/a:1"),
    "line 7, column 14 (/Manifests/0/Container/Image): \"https://example.com/a:1\" is not an image reference; write "
      + "registry.example.com/name:tag, without a scheme"
  ),
  (
    container("Image: a:1\nImgae: b"),
    "line 8, column 7 (/Manifests/0/Container/Imgae): unknown key \"Imgae\" in a Container; did you mean Image?"
  ),
  (
    container("Image: a:1\nPorts: [80]"),
    "line 8, column 15 (/Manifests/0/Container/Ports/0): \"80\" is not a published port; write HOST:CONTAINER, such as "
      + "\"8080:80/tcp\""
  ),
  (
    container("Image: a:1\nPorts: ['80:80', '80:81']"),
    "line 8, column 24 (/Manifests/0/Container/Ports/1): port 80/tcp is published twice; keep one of them"
  ),
  (
    container("Image: a:1\nNetwork: host\nPorts: ['80:80']"),
    "line 9, column 14 (/Manifests/0/Container/Ports): Ports are published only with `Network: bridge`; remove Ports: "
      + "with the host's network every port is the host's"
  ),
  (
    container("Image: a:1\nVolumes: [{ Name: a, HostPath: /a, Path: /b }]"),
    "line 8, column 17 (/Manifests/0/Container/Volumes/0): a volume needs either Name or HostPath; give exactly one of "
      + "them"
  ),
  (
    container("Image: a:1\nVolumes: [{ Name: a, Path: b/../c }]"),
    "line 8, column 34 (/Manifests/0/Container/Volumes/0/Path): \"b/../c\" is not an absolute path; begin it with / "
      + "and leave out `..`"
  ),
  (
    container("Image: a:1\nDevices: [/etc/passwd]"),
    "line 8, column 17 (/Manifests/0/Container/Devices/0): \"/etc/passwd\" is not a device node; name one below /dev"
  ),
  (
    container("Image: a:1\nResources: { Memory: 64M }"),
    "line 8, column 28 (/Manifests/0/Container/Resources/Memory): \"64M\" is not an amount of memory; write one with "
      + "its unit, such as 64MiB or 1GB"
  ),
  (
    container("Image: a:1\nResources: { Memory: 64 }"),
    "line 8, column 28 (/Manifests/0/Container/Resources/Memory): a memory limit of 64 bytes is too small to start a "
      + "program; give at least 1MiB"
  ),
  (
    container("Image: a:1\nResources: { Cpus: many }"),
    "line 8, column 26 (/Manifests/0/Container/Resources/Cpus): \"many\" is not a number of CPUs; write a number such "
      + "as 0.5 or 2"
  ),
  (
    container("Image: a:1\nCapabilities: { Add: [NET_ADMINN] }"),
    "line 8, column 29 (/Manifests/0/Container/Capabilities/Add/0): \"NET_ADMINN\" is not a Linux capability; did you "
      + "mean NET_ADMIN?"
  ),
  (
    container("Image: a:1\nHealth: { Interval: 10s }"),
    "line 8, column 15 (/Manifests/0/Container/Health): Health has no probe; give exactly one of Http, Tcp and Exec"
  ),
  (
    container("Image: a:1\nHealth: { Http: 'http://example.com/x' }"),
    "line 8, column 23 (/Manifests/0/Container/Health/Http): \"http://example.com/x\" does not name a port of the "
      + "container itself; write http://:PORT/PATH, such as \"http://:80/healthz\""
  ),
  (
    container("Image: a:1\nHealth: { Tcp: 80, Interval: ten }"),
    "line 8, column 36 (/Manifests/0/Container/Health/Interval): \"ten\" is not a duration; write one with its unit, "
      + "such as 500ms, 10s or 5m"
  ),
  (
    container("Image: a:1\nHealth: { Tcp: 80, Interval: 1ms }"),
    "line 8, column 36 (/Manifests/0/Container/Health/Interval): the duration 1ms is out of bounds; stay between 100ms "
      + "and 24h"
  ),
  (
    container("Image: a:1\nStop: { Signal: SIGFOO }"),
    "line 8, column 23 (/Manifests/0/Container/Stop/Signal): \"SIGFOO\" is not a signal; write a name such as SIGTERM, "
      + "or its number"
  ),
  (
    container("Image: a:1\nRestart: sometimes"),
    "line 8, column 16 (/Manifests/0/Container/Restart): \"sometimes\" is not one of always, on-failure, never; write "
      + "one of them"
  ),
  (
    manifest("Container: { Image: a:1 }\nLifecycle: { Run: x }"),
    "line 7, column 16 (/Manifests/0/Lifecycle): a manifest with a Container has no Lifecycle: the image's program is "
      + "what runs; move the steps into the image or Container.Command, and Setenv to Container.Env"
  ),
]

@Suite("RecipeReader: problems")
struct ProblemTests {
  @Test("each mistake gives one sentence with place and remedy", arguments: table.indices)
  func one(row: Int) {
    expectProblem(table[row].text, table[row].problem)
  }

  @Test("all problems are collected, in the order of lines")
  func all() {
    let lines = RecipeReader.read(
      """
      ComponentName: "not valid"
      ComponentVersion: one
      Manifests:
        - Platform: { os: linux }
          Artifacts: [{ Uri: nothing }]
          Lifecycle: { Run: { Script: x, Timeout: soon }, Instal: y }
      """, fileName: "x"
    ).problems.map { "\($0.line) \($0.path)" }
    #expect(
      lines == [
        "1 ", "1 /ComponentName", "2 /ComponentVersion", "5 /Manifests/0/Artifacts/0/Uri",
        "6 /Manifests/0/Lifecycle/Run/Timeout", "6 /Manifests/0/Lifecycle/Instal",
      ])
  }

  @Test(
    "archives of one component are unpacked to directories of their own",
    arguments: [
      (["wherry:model.tar.gz", "wherry:model.zip"], "two archives are unpacked to the directory model"),
      (["wherry:model.zip", "wherry:model.partial.zip"], "two archives are unpacked to the directory model.partial"),
      (["wherry:...zip"], "...zip cannot be unpacked to a directory named \"..\""),
    ])
  func unpackedNames(uris: [String], message: String) throws {
    let artifacts = uris.map { "    - { Uri: \"\($0)\", Unarchive: ZIP }\n" }.joined()
    let reading = RecipeReader.read(
      head + "Manifests:\n  - Lifecycle: { Run: x }\n    Artifacts:\n\(artifacts)", fileName: "x")
    #expect(reading.recipe == nil)
    #expect(reading.problems.map(\.message) == [message])
  }

  @Test("a manifest that is never chosen is a warning and leaves the recipe")
  func warning() throws {
    let reading = RecipeReader.read(
      head + "Manifests:\n  - Lifecycle: { Run: x }\n  - Platform: { os: linux }\n", fileName: "x")
    #expect(reading.recipe != nil)
    let problem = try #require(reading.problems.first)
    #expect(reading.problems.count == 1 && problem.severity == .warning)
    #expect(problem.message == "this manifest is never chosen: manifest 0 before it fits every device")
  }

  @Test(
    "broken YAML names line and column",
    arguments: [
      (head + "Manifests: [\n", 5), (head + "Manifests:\n\t- a\n", 5), (head + "ComponentName: twice\n", 2),
      (head + "ComponentDescription: a: b\n", 4), (head + "ComponentDescription: *nothing\n", 4),
      (head + "---\nsecond: document\n", 4), (head + "ComponentDescription: \"open\n", 5),
      (head + "ComponentDescription: a\u{1}b\n", 4), (head + "ComponentDescription: !Ref x\n", 4),
      (head + "? [a, b]\n: c\n", 4), ("@", 1), ("{\"a\":", 1),
    ])
  func syntax(text: String, line: Int) throws {
    let reading = RecipeReader.read(text, fileName: "recipe.yaml")
    #expect(reading.recipe == nil)
    let problem = try #require(reading.problems.first)
    #expect(problem.line == line, "\(problem)")
    #expect(!problem.remedy.isEmpty)
  }
}
