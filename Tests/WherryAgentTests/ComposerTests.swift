import Glibc
import Testing
import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

/// From a planned component to what the kernel is asked for.
@Suite struct ComposerTests {
  /// Deploys and gives the specification of the last start.
  private static func spec(_ components: [PlannedComponent], _ bench: Bench) throws -> WorkloadSpec {
    for component in components {
      for layer in component.image?.layers ?? [] { bench.worker.blobs[layer.digest.description] = [1] }
    }
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan(components), generation: 1))
    return try #require(bench.runner.specs.last, "\(bench.reports.last?.failure?.description ?? "nothing started")")
  }

  private static func failure(_ component: PlannedComponent) throws -> Failure {
    let bench = try Bench()
    for layer in component.image?.layers ?? [] { bench.worker.blobs[layer.digest.description] = [1] }
    bench.start()
    bench.connect()
    bench.order(bench.message(bench.plan([component]), generation: 1))
    bench.run(milliseconds: 3_000)
    #expect(bench.runner.launches.isEmpty)
    return try #require(bench.reports.last?.failure)
  }

  @Test func aContainerGetsWhatItsRecipeSaysAndNoMore() throws {
    let bench = try Bench()
    var web = Bench.container("com.example.web")
    web.configuration.defaults = ["level": "debug", "port": 8080]
    web.container?.command = ["/web", "--port", "{configuration:/port}"]
    web.container?.environment = ["LOG_LEVEL": "{configuration:/level}", "PATH": "/opt/bin"]
    web.container?.user = "1000:1001"
    web.container?.ports = [PublishedPort(host: 8080, container: 80)]
    web.container?.capabilitiesAdded = ["CAP_NET_RAW"]
    web.container?.capabilitiesDropped = ["CHOWN"]
    web.container?.resources = Resources(cpuMillis: 500, memoryBytes: 64 << 20, pids: 64)
    web.container?.volumes = [
      Volume(source: .named("cache"), path: "/cache"),
      Volume(source: .hostPath("/etc/hostname"), path: "/host", readOnly: true),
    ]
    web.image?.environment = ["PATH=/bin", "LANG=C"]
    let spec = try Self.spec([web], bench)
    #expect(spec.arguments == ["/web", "--port", "8080"])
    #expect(Set(["LOG_LEVEL=debug", "PATH=/opt/bin", "LANG=C", "HOME=/"]).isSubset(of: spec.environment))
    #expect(spec.user == .named("1000:1001"))
    #expect(
      spec.network
        == .bridge(
          NetworkAttachment(
            ports: [PublishedPort(host: 8080, container: 80)], names: ["com-example-web", "com.example.web"])))
    #expect(spec.capabilities == Capability.containerDefault.subtracting(["CHOWN"]).union(["NET_RAW"]))
    #expect(spec.resources == Resources(cpuMillis: 500, memoryBytes: 64 << 20, pids: 64))
    // NET_RAW is over a network, which own users could not have.
    #expect(spec.users == .host)
    let data = bench.paths.components + "/com.example.web/data/cache"
    #expect(
      spec.mounts == [
        WorkloadMount(source: data, target: "/cache"),
        WorkloadMount(source: "/etc/hostname", target: "/host", readOnly: true),
      ])
    var status = stat()
    #expect(stat(data, &status) == 0)
    if getuid() == 0 { #expect(status.st_uid == 1000 && status.st_gid == 1001) }
    #expect(!spec.isPrivileged)
  }

  /// As Greengrass has it: asked for by the nucleus's configuration.
  @Test func aContainerHasUsersOfItsOwn() throws {
    #expect(try Self.spec([Bench.container("com.example.web")], Bench()).users == .own)
  }

  @Test(arguments: [true, false]) func variablesInConfigurationsAreFilledInWhereTheNucleusSaysSo(asked: Bool) throws {
    let bench = try Bench()
    var nucleus = Bench.process("aws.greengrass.Nucleus")
    nucleus.lifecycle = Lifecycle()
    nucleus.configuration.defaults = ["interpolateComponentConfiguration": .bool(asked)]
    var app = Bench.process("com.example.app")
    app.configuration.defaults = [
      "path": ["{work:path}/x"], "name": "{iot:thingName}", "loop": "{configuration:/loop}",
    ]
    app.lifecycle.steps[.run]?.script = "{configuration:/path/0} {configuration:/name} {configuration:/loop}"
    let spec = try Self.spec([nucleus, app], bench)
    let work = "\(bench.paths.components)/com.example.app/work"
    #expect(
      spec.arguments.last
        == (asked
          ? "\(work)/x kiosk-1 {configuration:/loop}" : "{work:path}/x {iot:thingName} {configuration:/loop}"))
  }

  @Test func theImageSaysWhatTheRecipeLeavesOpen() throws {
    var web = Bench.container("com.example.web")
    web.image?.entrypoint = ["/entry"]
    web.image?.user = "www"
    web.image?.workingDirectory = "/srv"
    web.container?.network = .none
    web.container?.capabilitiesDropped = ["ALL"]
    let spec = try Self.spec([web], Bench())
    #expect(spec.arguments == ["/entry", "/server"])
    #expect(spec.user == .named("www") && spec.workingDirectory == "/srv" && spec.network == .none)
    #expect(spec.capabilities.isEmpty)
  }

  @Test func obstaclesAreNamed() throws {
    var web = Bench.container("com.example.web")
    web.container?.volumes = [Volume(source: .hostPath("/no/such/place"), path: "/x")]
    #expect(try Self.failure(web).message.contains("/no/such/place, which it mounts, is not on this device"))
    web.container?.volumes = []
    web.container?.capabilitiesAdded = ["FLY"]
    #expect(try Self.failure(web).code == "component.unknownCapability")
    web.container?.capabilitiesAdded = []
    web.image?.command = []
    #expect(try Self.failure(web).code == "component.noCommand")
  }

  @Test func aProcessSeesItsDependenciesButMayNotChangeThem() throws {
    let bench = try Bench()
    let (artifact, bytes) = Bench.artifact("lib.sh", "lib")
    bench.worker.blobs[artifact.digest.description] = bytes
    var base = Bench.process("com.example.base")
    base.artifacts = [artifact]
    base.configuration.defaults = ["port": 7]
    var app = Bench.process(
      "com.example.app",
      script: "use {com.example.base:artifacts:path}/lib.sh {com.example.base:configuration:/port} {work:path}")
    app.dependencies = ["com.example.base": .hard]
    let spec = try Self.spec([base, app], bench)
    let work = bench.paths.components + "/com.example.app/work"
    #expect(spec.id == "com.example.app.run")
    #expect(spec.arguments.last == "use \(bench.paths.artifacts(base))/files/lib.sh 7 \(work)")
    #expect(
      spec.mounts == [
        WorkloadMount(
          source: bench.paths.artifacts(base), target: bench.paths.artifacts(base), readOnly: true),
        WorkloadMount(
          source: bench.paths.components + "/com.example.base/work",
          target: bench.paths.components + "/com.example.base/work", readOnly: true),
      ])
    guard case .host(let writable, let hidden) = spec.root else {
      Issue.record("not on the host's root")
      return
    }
    #expect(writable == [work])
    #expect(hidden.contains(bench.paths.root + "/trust") && hidden.contains(bench.paths.root + "/agent.db"))
  }

  @Test func onlyWhatRequiresPrivilegeGetsIt() throws {
    var app = Bench.process("com.example.app", install: "prepare")
    app.lifecycle.steps[.install]?.requiresPrivilege = true
    let bench = try Bench()
    _ = try Self.spec([app], bench)
    #expect(bench.runner.specs.map(\.isPrivileged) == [true, false])
    #expect(bench.runner.specs.first?.user == .root)
    #expect(bench.runner.specs.last?.user == .ids(user: getuid(), group: getgid(), groups: []))
  }

  @Test func archivesAreUnpackedBesideTheFiles() throws {
    let bench = try Bench()
    var (archive, bytes) = Bench.artifact("models.tar.gz", "archive")
    archive.unarchive = .tar
    archive.execute = .none
    bench.worker.blobs[archive.digest.description] = bytes
    var app = Bench.process("com.example.app", script: "use {artifacts:decompressedPath}/models")
    app.artifacts = [archive]
    let spec = try Self.spec([app], bench)
    let place = bench.paths.artifacts(app)
    #expect(spec.arguments.last == "use \(place)/unpacked/models")
    #expect(TestFile.exists(place + "/unpacked/models"))
    #expect(bench.worker.jobs.map(\.mode) == [.download, .unpack])
    var status = stat()
    #expect(stat(place + "/files/models.tar.gz", &status) == 0 && status.st_mode & 0o777 == 0o444)
  }
}
