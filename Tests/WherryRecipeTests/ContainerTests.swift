import Testing
import WherryModel
import WherryRecipe

@Suite("RecipeReader: Container")
struct ContainerTests {
  @Test("everything given")
  func whole() throws {
    let recipe = try sound(
      container(
        """
        Image: registry.example.com/team/web:1.4
        Command: ["/web", "--port", "8080"]
        Env: { LOG_LEVEL: "{configuration:/logLevel}", DEBUG: , PORT: 80 }
        User: 1000:1000
        WorkingDirectory: /srv
        Ports: [8080:80/tcp, "53:5353/UDP", 9000:9000]
        Volumes: [{ Name: data, Path: /data }, { HostPath: /dev/shm/feed, Path: /feed, ReadOnly: true }]
        Devices: ["/dev/video0"]
        Network: Bridge
        Egress: ["10.0.0.0/8:443/tcp", "*:53"]
        Resources: { Cpus: 0.5, Memory: 64MiB, Pids: 64, Processors: "0-2,4", Swap: 16MiB, DiskWeight: 50 }
        ReadOnlyRoot: false
        Capabilities: { Add: [CAP_NET_ADMIN, net_raw], Drop: [ALL] }
        Health: { Http: "http://:80/healthz?x=1", Interval: 10s, Timeout: 1500ms, Retries: 5, StartPeriod: 1m30s }
        Ulimits: { NOFILE: "1024:4096", core: unlimited, nproc: 64 }
        Sysctls: { net.core.somaxconn: 1024 }
        Seccomp: { Allow: [io_uring_setup], Deny: [ptrace] }
        AppArmor: kiosk
        Stop: { Signal: int, Timeout: 1500ms }
        Restart: { Policy: on-failure, MaxBackoff: 5m }
        """))
    let spec = try #require(recipe.manifests[0].container)
    #expect(spec.image == "registry.example.com/team/web:1.4")
    #expect(spec.command == ["/web", "--port", "8080"])
    #expect(spec.environment == ["LOG_LEVEL": "{configuration:/logLevel}", "DEBUG": "", "PORT": "80"])
    #expect(spec.user == "1000:1000" && spec.workingDirectory == "/srv")
    #expect(
      spec.ports == [
        PublishedPort(host: 8080, container: 80), PublishedPort(host: 53, container: 5353, transport: .udp),
        PublishedPort(host: 9000, container: 9000),
      ])
    #expect(
      spec.volumes == [
        Volume(source: .named("data"), path: "/data"),
        Volume(source: .hostPath("/dev/shm/feed"), path: "/feed", readOnly: true),
      ])
    #expect(spec.devices == ["/dev/video0"] && spec.network == .bridge && !spec.readOnlyRoot)
    #expect(spec.egress?.map(\.description) == ["10.0.0.0/8:443/tcp", "*:53"])
    #expect(spec.resources.cpuMillis == 500 && spec.resources.memoryBytes == 64 << 20 && spec.resources.pids == 64)
    #expect(spec.resources.processors == "0-2,4" && spec.resources.swapBytes == 16 << 20)
    #expect(spec.resources.diskWeight == 50)
    #expect(
      spec.limits == [
        "nofile": ProcessLimit(soft: 1_024, hard: 4_096), "core": ProcessLimit(soft: nil, hard: nil),
        "nproc": ProcessLimit(soft: 64, hard: 64),
      ])
    #expect(spec.sysctls == ["net.core.somaxconn": "1024"] && spec.appArmorProfile == "kiosk")
    #expect(spec.seccomp == SeccompChoice(allowed: ["io_uring_setup"], denied: ["ptrace"]))
    #expect(spec.capabilitiesAdded == ["NET_ADMIN", "NET_RAW"] && spec.capabilitiesDropped == ["ALL"])
    #expect(spec.health?.probe == .http(port: 80, path: "/healthz?x=1"))
    #expect(spec.health?.intervalMilliseconds == 10_000 && spec.health?.timeoutMilliseconds == 1_500)
    #expect(spec.health?.retries == 5 && spec.health?.startPeriodMilliseconds == 90_000)
    #expect(spec.stopSignal == "SIGINT" && spec.stopTimeoutSeconds == 2)
    #expect(spec.restart == RestartPolicy(mode: .onFailure, backoffMaximumMilliseconds: 300_000))
  }

  @Test("only an image: the documented defaults")
  func defaults() throws {
    let spec = try #require(try sound(container("Image: example/web:1")).manifests[0].container)
    #expect(spec == ContainerSpec(image: "example/web:1"))
    #expect(spec.readOnlyRoot && spec.network == .bridge && spec.restart.mode == .always)
  }

  @Test(
    "own users, unless something is asked for that they would take",
    arguments: [
      ("", UserNamespaceMode.own), ("Network: none", .own), ("Capabilities: { Add: [SYS_PTRACE] }", .own),
      ("Capabilities: { Drop: [ALL] }", .own), ("Network: host", .host), ("Capabilities: { Add: [NET_RAW] }", .host),
      ("Network: host\nUserNamespace: own", .own), ("UserNamespace: Host", .host),
    ])
  func users(_ line: String, _ expected: UserNamespaceMode) throws {
    let spec = try #require(try sound(container("Image: a:1\n\(line)")).manifests[0].container)
    #expect(spec.usersInEffect == expected)
  }

  @Test("a single text runs through the shell")
  func shell() throws {
    let spec = try #require(
      try sound(container("Image: a:1\nCommand: exec web | tee x\nHealth: { Exec: test -f /ok }")).manifests[0]
        .container)
    #expect(spec.command == ["/bin/sh", "-c", "exec web | tee x"])
    #expect(spec.health?.probe == .exec(["/bin/sh", "-c", "test -f /ok"]))
  }

  @Test(
    "probes",
    arguments: [
      ("Http: http://localhost:8080", HealthCheck.Probe.http(port: 8080, path: "/")),
      ("Http: http://127.0.0.1/x", .http(port: 80, path: "/x")), ("Http: 'http://:1'", .http(port: 1, path: "/")),
      ("Tcp: 5432", .tcp(port: 5432)), ("Tcp: ':80'", .tcp(port: 80)), ("Tcp: 'tcp://:80'", .tcp(port: 80)),
      ("Exec: [a, b]", .exec(["a", "b"])),
    ])
  func probe(text: String, expected: HealthCheck.Probe) throws {
    let recipe = try sound(container("Image: a:1\nHealth: { \(text) }"))
    #expect(recipe.manifests[0].container?.health?.probe == expected)
  }

  @Test(
    "amounts of memory",
    arguments: [
      ("64MiB", 64 << 20), ("64Mi", 64 << 20), ("1GB", 1_000_000_000), ("1.5GiB", 3 << 29), ("2097152", 2_097_152),
      ("64 MiB", 64 << 20), ("64mib", 64 << 20),
    ] as [(String, Int64)])
  func memory(text: String, bytes: Int64) throws {
    let recipe = try sound(container("Image: a:1\nResources: { Memory: \(text) }"))
    #expect(recipe.manifests[0].container?.resources.memoryBytes == bytes)
  }

  @Test("CPUs", arguments: [("0.5", 500), ("2", 2000), ("250m", 250), ("1.25", 1250)])
  func cpus(text: String, millis: Int) throws {
    let recipe = try sound(container("Image: a:1\nResources: { Cpus: \(text) }"))
    #expect(recipe.manifests[0].container?.resources.cpuMillis == millis)
  }
}
