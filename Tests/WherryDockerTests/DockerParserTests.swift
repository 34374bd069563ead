import Testing
import WherryDocker
import WherryModel

@Suite("DockerParser")
struct DockerParserTests {
  private func parse(_ line: String) throws -> DockerCommand {
    try DockerParser.parse(line.split(separator: " ").map(String.init))
  }

  private func run(_ line: String) throws -> DockerRun {
    guard case .run(let run) = try parse("run " + line) else { throw DockerMisuse("\(line) is no run") }
    return run
  }

  private func refusal(_ line: String) -> String {
    do {
      return "\(try parse(line))"
    } catch { return "\(error)" }
  }

  @Test("a container's flags as real recipes write them")
  func flags() throws {
    let run = try run(
      "--rm -it --name=web -e A=1 --env B -p 8080:80 -p127.0.0.1:53:53/udp -v /work/x:/x:ro -v data:/data "
        + "--network host --device /dev/video0 -u 1000:1000 -m 64m --cpus 0.5 team/web:1 serve --port 80 -d"
    )
    #expect(run.image == "team/web:1" && run.arguments == ["serve", "--port", "80", "-d"])
    #expect(run.name == "web" && run.isRemovedAtEnd && run.takesInput && !run.isDetached)
    #expect(run.environment == ["A=1", "B"])
    #expect(
      run.volumes == [
        DockerVolume(source: "/work/x", path: "/x", isReadOnly: true), DockerVolume(source: "data", path: "/data"),
      ])
    #expect(run.volumes.map(\.isNamed) == [false, true])
    #expect(run.network == .host && run.ports.isEmpty, "the host's network publishes nothing")
    #expect(run.devices == ["/dev/video0"] && run.user == "1000:1000")
    #expect(run.memoryBytes == 64 << 20 && run.cpuMillis == 500 && run.restart == .never)
  }

  @Test("ports, restarts, mounts and limits")
  func values() throws {
    #expect(
      try run("-p 8080:80 -p 0.0.0.0:53:5353/udp x").ports == [
        PublishedPort(host: 8080, container: 80), PublishedPort(host: 53, container: 5353, transport: .udp),
      ])
    #expect(try run("--restart unless-stopped x").restart == .always)
    #expect(try run("--restart on-failure:3 x").restart == .onFailure(maximum: 3))
    #expect(
      try run("--mount type=bind,source=/a,target=/b,readonly x").volumes
        == [DockerVolume(source: "/a", path: "/b", isReadOnly: true)])
    #expect(try run("--memory 1g x").memoryBytes == 1 << 30)
    #expect(try run("--ulimit nofile=10:20 x").limits == ["nofile": ProcessLimit(soft: 10, hard: 20)])
  }

  @Test(
    "the other commands",
    arguments: [
      ("stop -t 3 a b", DockerCommand.stop(["a", "b"], graceSeconds: 3)), ("stop a", .stop(["a"], graceSeconds: nil)),
      ("kill -s HUP a", .kill(["a"], signal: "HUP")), ("rm -f a", .remove(["a"], isForced: true)),
      ("container rm -fv a", .remove(["a"], isForced: true)),
      ("image pull -q nginx:1", .pull("nginx:1", isQuiet: true)), ("images -q", .images(reference: nil, isQuiet: true)),
      ("logs -f --tail 10 a", .logs("a", tail: 10, follows: true, hasTimes: false)),
      ("login -u me --password-stdin r.example.com", .login(registry: "r.example.com")), ("--version", .version),
      ("rmi -f a", .removeImages(["a"])), ("image inspect a", .inspect(["a"])), ("wait a", .wait(["a"])),
    ])
  func commands(line: String, command: DockerCommand) throws {
    #expect(try parse(line) == command)
  }

  @Test("lists are filtered by name and state")
  func lists() throws {
    guard case .list(let list) = try parse("ps -aq --filter name=web -f status=running") else {
      Issue.record("ps is not read")
      return
    }
    #expect(list.showsAll && list.isQuiet && list.names == ["web"] && list.statuses == ["running"])
  }

  @Test(
    "what is not carried out is refused with what to do instead",
    arguments: [
      ("compose up -d", "docker compose is not carried out here; publish each service as a component of its own"),
      ("network create x", "docker network is not carried out here; containers on the bridge reach each other already"),
      ("load -i x.tar", "docker load is not carried out here; push the archive's images with `wherry image push`"),
      ("run --detatch x", "docker run: the flag --detatch is not known here; did you mean --detach?"),
      ("run --pid host x", "docker run: --pid is not carried out here; containers have a pid namespace of their own"),
      ("run --network mine x", "docker run: there is no network \"mine\" here; use bridge, host or none"),
      ("run --rm", "usage: docker run [FLAGS] IMAGE [COMMAND…]"), ("run -e", "docker run: -e needs a value"),
      ("run -p 80 x", "docker run: -p takes HOST:CONTAINER"), ("run -v /a x", "docker run: -v takes SOURCE:PATH[:ro]"),
      ("run -v /a:/b/../c x", "docker run: -v takes SOURCE:PATH[:ro]"),
      ("run --rm --restart always x", "docker run: --rm and --restart cannot be together; leave one out"),
      ("run --name a/b x", "docker run: \"a/b\" cannot name a container"), ("run -m 1 x", "docker run: --memory takes"),
      ("run --cpus nan x", "docker run: --cpus takes"),
      ("run --device /etc/passwd x", "docker run: --device takes /dev/NAME"),
      ("stpo x", "docker stpo: there is no such command here; did you mean `docker stop`?"),
      ("-H tcp://x ps", "docker: -H is not known here; there is one engine"), ("rm", "usage: docker rm [-f] NAME…"),
      ("image prune", "docker image prune: not carried out here; there are image"),
      ("ps --filter label=x", "docker ps: the filter \"label=x\" is not known here"),
    ])
  func refusals(line: String, sentence: String) {
    #expect(refusal(line).hasPrefix(sentence), "\(refusal(line))")
  }
}
