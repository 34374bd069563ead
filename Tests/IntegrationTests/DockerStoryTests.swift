import Foundation
import Glibc
import Testing

/// Scripts that call `docker`, on real parts: the images are artifacts, the engine is the agent's own.
extension OnRealParts {
  @Suite struct DockerStoryTests {}
}

extension OnRealParts.DockerStoryTests {
  private static let device = "kiosk-1"
  private static let component = "com.example.scripted"

  @Test func aScriptRunsItsImagesWithoutADockerDaemon() throws {
    if let obstacle = TestFleet.obstacle() {
      print("SKIPPED the story of docker: \(obstacle)")
      return
    }
    let fleet = try TestFleet()
    do {
      try begin(fleet)
      try deploy(fleet)
      try refusals(fleet)
      try killedAgent(fleet)
      try stopAndRemoval(fleet)
    } catch {
      print("--- agent\n\(fleet.log("\(Self.device)/agent.log").suffix(6000))")
      print("--- component\n\(log(fleet).suffix(6000))")
      Issue.record("\(error)\nleft behind: \(fleet.takeDown())")
      return
    }
    #expect(fleet.takeDown() == [], "the fleet left something behind")
  }

  private func log(_ fleet: TestFleet) -> String { fleet.log("\(Self.device)/log/\(Self.component).log") }

  private func begin(_ fleet: TestFleet) throws {
    try fleet.startRegistry()
    try fleet.publishImages()
    try fleet.startService()
    try fleet.succeed([
      "wherry", "login", fleet.url, "--ca", fleet.data + "/ca.crt", "--token-file", fleet.folder + "/admin.token",
    ])
    try fleet.succeed(["wherry", "group", "create", "kiosks"])
    try fleet.provision(Self.device, group: "kiosks", labels: [])
    try fleet.startAgent(Self.device)
  }

  private static func recipe(_ image: String) -> String {
    """
    RecipeFormatVersion: "2020-01-25"
    ComponentName: \(component)
    ComponentVersion: "1.0.0"
    ComponentDependencies:
      aws.greengrass.DockerApplicationManager: { VersionRequirement: ">=2.0.0 <3.0.0" }
    Manifests:
      - Platform: { os: linux }
        Artifacts:
          - Uri: docker:\(image)
        Lifecycle:
          install:
            Skipif: "!onpath docker"
            Script: |
              docker pull \(image) && docker images
              docker run --rm -e WHO=container --entrypoint /bin/sh \(image) \\
                -c 'echo hello from the $WHO; echo by name > /dev/stdout; exit 3'
              echo it exited with $?
              docker run --rm example.com/stranger:1 || echo refused with $?
              docker run --rm --privileged \(image) || echo refused with $?
              docker run --rm -v /etc:/host \(image) || echo refused with $?
              docker run --rm --entrypoint /bin/nothing \(image) || echo no program: $?
              docker compose up || echo refused with $?
              mkdir -p shared && echo from the script > shared/in
              docker run --rm -u 0 -v {work:path}/shared:/shared --entrypoint /bin/sh \(image) \\
                -c 'cat /shared/in; echo from the container > /shared/out'
              cat shared/out
          run: |
            docker run -d --name worker --entrypoint /bin/sh \(image) \\
              -c 'trap "echo worker was asked; exit 7" TERM; echo worker is up; while :; do sleep 1 & wait $!; done'
            until docker logs worker | grep -q 'worker is up'; do sleep 0.1; done
            docker stop -t 30 worker && docker logs --tail 1 worker
            echo worker ended with $(docker wait worker)
            docker run -d --name victim --entrypoint /bin/sh \(image) -c 'while :; do sleep 1; done'
            docker kill victim
            echo victim ended with $(docker wait victim)
            docker ps -a --filter name=victim
            docker rm worker victim
            docker run -d --name side -p 8088:8080 -v data:/data -e GREETING=beside \(image)
            docker ps --filter name=side
            docker inspect side
            docker run --rm --name main --entrypoint /bin/sh \(image) \\
              -c 'trap "echo main says goodbye; exit 0" TERM; echo main is up; while :; do sleep 1 & wait $!; done'
            echo main has ended with $?
            docker rm -f side
            docker run --restart always -d --name again --entrypoint /bin/sh \(image) \\
              -c 'echo once more; sleep 1; exit 1'
            while :; do sleep 1; done
          shutdown: docker ps -a

    """
  }

  private func deploy(_ fleet: TestFleet) throws {
    let folder = fleet.folder + "/scripted"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Self.recipe("127.0.0.1:\(fleet.registry)/example/web:1.0.0")
      .write(toFile: folder + "/recipe.yaml", atomically: true, encoding: .utf8)
    let report = try fleet.wherry("component", "import", folder + "/recipe.yaml")
    #expect(report.output.contains("docker:127.0.0.1"), "\(report.text)")
    try fleet.succeed(["wherry", "component", "publish", folder])
    let deployed = try fleet.wherry("deploy", "--group", "kiosks", Self.component + "=1.0.0", "--watch")
    try #require(deployed.status == 0, "\(deployed.text)")
    try Command.eventually("the container beside is served") {
      try fleet.curl("http://\(fleet.address(Self.device)):8088/").output.contains("beside")
    }
    try Command.eventually("the main container is up") { log(fleet).contains("O main is up") }
    for line in [
      "O hello from the container", "O by name", "O it exited with 3", "O from the script", "O from the container",
      "O worker was asked", "O worker ended with 7", "O victim ended with 137",
    ] {
      #expect(log(fleet).contains(line), "no \"\(line)\" in\n\(log(fleet))")
    }
  }

  /// What a component may not do by itself its containers may not do either.
  private func refusals(_ fleet: TestFleet) throws {
    let log = log(fleet)
    #expect(log.components(separatedBy: "refused with 125").count == 5, "\(log)")
    #expect(log.contains("no program: 127"), "\(log)")
    for sentence in [
      "example.com/stranger:1 is none of com.example.scripted's: only what was verified runs",
      "--privileged is for steps with RequiresPrivilege", "-v /etc is neither in the component's work directory",
      "docker compose is not carried out here",
    ] {
      #expect(log.contains(sentence), "no \"\(sentence)\" in\n\(log)")
    }
    let status = Command.text("/proc/\(try pid(fleet))/status")
    #expect(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "\(status)")
  }

  /// The host's number of a container's first process.
  private func pid(_ fleet: TestFleet) throws -> Int32 {
    let find = "grep -laz 'main says goodbye' /proc/[0-9]*/cmdline | grep -v self"
    let found = try Command.run(["/bin/sh", "-c", find]).output.split(separator: "\n").compactMap { line in
      Int32(line.split(separator: "/").dropFirst().first ?? "")
    }
    let inside = found.filter {
      Command.text("/proc/\($0)/cgroup").contains("\(fleet.prefix)1/\(Self.component).docker-")
    }
    return try #require(inside.first, "no container among \(found)")
  }

  /// Neither containers nor their callers notice.
  private func killedAgent(_ fleet: TestFleet) throws {
    let before = try pid(fleet)
    fleet.killAgent(Self.device)
    try fleet.startAgent(Self.device)
    try Command.eventually("the agent is back") {
      fleet.log("\(Self.device)/agent.log").contains("adopted") && (try? pid(fleet)) == before
    }
    #expect(try fleet.curl("http://\(fleet.address(Self.device)):8088/").output.contains("beside"))
    #expect(!log(fleet).contains("main has ended"))
    // The caller has come back to the new agent, and hears of the end.
    kill(before, SIGTERM)
    try Command.eventually("the script goes on") { log(fleet).contains("O main has ended with 0") }
    #expect(log(fleet).contains("O main says goodbye"))
    try Command.eventually("what fails runs again") {
      let log = fleet.log("\(Self.device)/agent.log")
      return log.components(separatedBy: "starting workload=\(Self.component).docker-").count > 7
    }
  }

  private func stopAndRemoval(_ fleet: TestFleet) throws {
    try fleet.succeed(["wherry", "component", "publish", TestFleet.root + "/components/com.example.hello"])
    let deployed = try fleet.wherry("deploy", "--group", "kiosks", "com.example.hello=1.0.0", "--watch")
    try #require(deployed.status == 0, "\(deployed.text)")
    try Command.eventually("nothing of it runs") {
      try Command.run(["/bin/sh", "-c", "find /sys/fs/cgroup -type d -path '*\(fleet.prefix)1/*docker-*'"]).text.isEmpty
    }
    let home = fleet.folder + "/" + Self.device
    #expect(!FileManager.default.fileExists(atPath: home + "/lib/components/\(Self.component)/docker"))
  }
}
