import Glibc
import Testing
import WherryCrypto
import WherryDocker
import WherryModel

@testable import WherryAgent

/// What a component's containers may have: no more than it may by itself.
@Suite struct DockerAuthorityTests {
  private let paths = AgentPaths(root: "/srv/lib", run: "/srv/run", logs: "/srv/log")

  private func authority(isPrivileged: Bool = false, _ change: (inout PlannedComponent) -> Void = { _ in })
    -> DockerAuthority
  {
    var own = Bench.process("com.example.own")
    change(&own)
    return DockerAuthority(
      paths: paths, account: UserAccount(name: "nobody", user: 65_534, group: 65_534), own: own,
      dependencies: [Bench.process("com.example.other")], isPrivileged: isPrivileged)
  }

  private func container(_ line: String, _ authority: DockerAuthority) throws -> ContainerSpec {
    guard case .run(let run) = try DockerParser.parse(["run"] + line.split(separator: " ").map(String.init)) else {
      throw DockerMisuse("no run")
    }
    let image = try #require(Bench.container("com.example.own").image)
    return try authority.container(run, image: image, directory: "/srv/lib/components/com.example.own/work")
  }

  @Test(
    "what only root may is refused",
    arguments: [
      "--privileged x", "-v /etc:/x x", "-v /srv/lib/components/com.example.own/data:/x x", "-v ../data:/x x",
      "-v /srv/lib/components/com.example.own/workshop:/x x", "-v /:/x x", "-v /srv/run:/x x",
      "-v /srv/lib/components/com.example.stranger/work:/x x", "--cap-add SYS_ADMIN x", "--cap-add ALL x",
    ])
  func refusals(line: String) throws {
    #expect(throws: Failure.self) { try container(line, authority()) }
    if !line.contains("ALL") { #expect(throws: Never.self) { try container(line, authority(isPrivileged: true)) } }
  }

  @Test("its own places are mounted, and what others offer read-only")
  func volumes() throws {
    let own = authority()
    let artifacts = paths.artifacts(own.own)
    let spec = try container(
      "-v ./sub:/a -v data:/b -v \(artifacts)/files:/c -v /srv/lib/components/com.example.other/work:/d x", own)
    #expect(
      spec.volumes == [
        Volume(source: .hostPath("/srv/lib/components/com.example.own/work/sub"), path: "/a"),
        Volume(source: .named("data"), path: "/b"),
        Volume(source: .hostPath(artifacts + "/files"), path: "/c", readOnly: true),
        Volume(source: .hostPath("/srv/lib/components/com.example.other/work"), path: "/d", readOnly: true),
      ])
  }

  @Test("users are its own also on the host's network; privileged ones are the host's")
  func users() throws {
    let host = try container("--network host --cap-add CHOWN x", authority())
    #expect(host.usersInEffect == .own && host.network == .host && host.seccomp == nil)
    let privileged = try container("--privileged x", authority(isPrivileged: true))
    #expect(privileged.usersInEffect == .host && privileged.seccomp?.isUnconfined == true)
    #expect(try container("x", authority(isPrivileged: true)).usersInEffect == .own)
  }

  @Test("a device is for whom its mode lets read and write it")
  func devices() {
    let user = UserAccount(name: "u", user: 1_000, group: 1_000, groups: [44])
    func may(_ mode: mode_t, _ owner: UInt32, _ group: UInt32) -> Bool {
      DockerAuthority.mayUse(mode: mode, owner: owner, group: group, user)
    }
    #expect(may(0o660, 0, 44) && may(0o600, 1_000, 0) && may(0o666, 0, 0))
    #expect(!may(0o600, 0, 0) && !may(0o660, 0, 6) && !may(0o640, 0, 44) && !may(0o066, 1_000, 44))
  }

  @Test("limits are at most the component's")
  func limits() throws {
    let limited = authority { $0.resources = Resources(cpuMillis: 500, memoryBytes: 64 << 20) }
    #expect(try container("-m 128m --cpus 0.25 x", limited).resources.memoryBytes == 64 << 20)
    #expect(try container("-m 32m --cpus 0.25 x", limited).resources.cpuMillis == 250)
    #expect(try container("-m 32m x", limited).resources.memoryBytes == 32 << 20)
  }

  @Test("entrypoint and command as Docker puts them together")
  func command() throws {
    #expect(try container("x", authority()).command == nil)
    #expect(try container("x -v", authority()).command == ["-v"])
    #expect(try container("--entrypoint /bin/sh x -c true", authority()).command == ["/bin/sh", "-c", "true"])
  }

  @Test("docker is for those who ask for it, and never in place of the device's own")
  func access() {
    #expect(DockerAccess.names(docker: "exec docker run x") && DockerAccess.names(docker: "/usr/bin/docker ps"))
    #expect(!DockerAccess.names(docker: "echo docker-compose mydocker"))
    var program = DockerAccess(paths: paths, program: "/bin/sh")
    var component = Bench.process("com.example.own")
    #expect(!program.isFor(component))
    component.dependencies[DockerAccess.manager] = .hard
    #expect(program.isFor(component))
    component.dependencies = [:]
    component.lifecycle.steps[.run] = Step(script: "docker run x")
    program = DockerAccess(paths: paths, program: "/bin/sh", hostHasDocker: true)
    #expect(!program.isFor(component), "the device's own is not hidden")
    #expect(DockerAccess(paths: paths, program: "/bin/sh", hostHasDocker: false).isFor(component))
  }

  @Test("records come back as they were")
  func records() throws {
    let image = try #require(Bench.container("com.example.own").image)
    let request = try DockerRequest(["docker": ["run", "-e", "A", "x"], "environment": ["A=1"], "directory": "/w"])
    let record = ScriptContainerRecord(
      id: "0123456789ab", component: "com.example.own", identity: "i", request: request, isPrivileged: true,
      image: image, createdAt: Instant(milliseconds: 5))
    #expect(try ScriptContainerRecord(.init(record.json)) == record)
    #expect(try record.run().environment == ["A=1"])
    #expect(ScriptContainerRecord.id(inWorkload: record.workload) == "0123456789ab")
    #expect(ScriptContainerRecord.id(inWorkload: "com.example.own.run") == nil)
  }
}
