import Testing
import WherryJSON
import WherryModel
import WherryPlanning

@Suite("PlanChecker")
struct PlanCheckerTests {
  private static func process(_ name: ComponentName) -> PlannedComponent {
    var component = PlannedComponent(name: name, version: Version(1, 0, 0), recipe: digest(1))
    component.lifecycle.steps[.run] = Step(script: "exec x")
    component.artifacts = [PlannedArtifact(fileName: "x", digest: digest(7), size: 10)]
    return component
  }

  private static func container(_ name: ComponentName) -> PlannedComponent {
    var component = PlannedComponent(name: name, version: Version(1, 0, 0), recipe: digest(1))
    component.container = ContainerSpec(image: "r.example.com/team/web:1")
    component.container?.ports = [PublishedPort(host: 8080, container: 80)]
    component.image = PlannedImage(
      reference: "r.example.com/team/web:1", registry: "https://r.example.com", repository: "team/web",
      manifest: digest(2), layers: [PlannedLayer(digest: digest(3), size: 5, compression: .gzip, diffID: digest(4))])
    return component
  }

  /// A sound plan, changed in one way.
  private func problems(_ change: (inout Plan) -> Void) -> [String] {
    var web = Self.container("web")
    web.dependencies = ["base": .hard]
    var plan = Plan(deployments: [DeploymentID(1), DeploymentID(2)], components: [Self.process("base"), web])
    #expect(PlanChecker.problems(in: plan) == [])
    change(&plan)
    return PlanChecker.problems(in: plan)
  }

  @Test("names, order and dependencies")
  func order() {
    #expect(problems { $0.components.reverse() } == ["web comes before its dependency base"])
    #expect(problems { $0.components.removeFirst() } == ["web depends on base, which the plan lacks"])
    #expect(problems { $0.components[0].dependencies = ["base": .soft] } == ["base depends on itself"])
    #expect(problems { $0.components.insert($0.components[0], at: 0) } == ["base is in the plan twice"])
    #expect(
      problems { $0.components[1].name = ComponentName(trusted: "../x") } == ["../x 1.0.0: it has no valid name"])
    #expect(
      problems { $0.components = Array(repeating: $0.components[0], count: 1_001) }
        == ["the plan has 1001 components, more than 1000"])
  }

  @Test("deployments and policy")
  func policy() {
    let order = ["the plan's deployments are not in ascending order, or one is named twice"]
    #expect(problems { $0.deployments.reverse() } == order)
    #expect(problems { $0.deployments = [DeploymentID(1), DeploymentID(1)] } == order)
    #expect(problems { $0.policy.settleMilliseconds = -1 }.count == 1)
    #expect(problems { $0.policy.timeoutSeconds = 0 }.count == 1)
    #expect(problems { $0.policy.timeoutSeconds = .max }.count == 1)
  }

  @Test("containers and images belong together")
  func images() {
    let image = PlannedImage(
      reference: "r/x", registry: "https://r.example.com", repository: "x", manifest: digest(7),
      layers: [PlannedLayer(digest: digest(8), size: 1, compression: .gzip, diffID: digest(9))])
    #expect(problems { $0.components[0].images = [image] } == [], "a process component's scripts may run it")
    #expect(problems { $0.components[0].images = [image, image] }.count == 1)
    #expect(problems { $0.components[0].images = Array(repeating: image, count: 101) }.count == 1)
    #expect(problems { $0.components[1].image = nil } == ["web 1.0.0: its image was not pinned to a digest"])
    #expect(problems { $0.components[1].container = nil } == ["web 1.0.0: it has an image but no container"])
    #expect(problems { $0.components[1].lifecycle.steps[.run] = Step(script: "x") }.count == 1)
    #expect(problems { $0.components[1].image?.reference = "other" }.count == 1)
    #expect(problems { $0.components[1].image?.layers = [] }.count == 1)
    #expect(problems { $0.components[1].image?.layers[0].size = -1 }.count == 1)
    #expect(problems { $0.components[1].image?.layers[0].size = .max }.count == 1)
    #expect(problems { $0.components[1].image?.layers[0].compression = .none }.count == 1)
    let layer = PlannedLayer(digest: digest(3), size: 5, compression: .gzip, diffID: digest(4))
    #expect(problems { $0.components[1].image?.layers = Array(repeating: layer, count: 127) } == [])
    #expect(problems { $0.components[1].image?.layers = Array(repeating: layer, count: 128) }.count == 1)
    #expect(problems { $0.components[1].image?.registry = PlannedImage.serviceRegistry } == [])
    for registry in ["", "wherry:x", "ftp://x", "https://", "https:///x", "https://a b", "https://a\r\nX: y"] {
      #expect(problems { $0.components[1].image?.registry = registry }.count == 1, "\(registry)")
    }
    for repository in ["", "/", "a//b", "../a", "A", "a b", "a?b"] {
      #expect(problems { $0.components[1].image?.repository = repository }.count == 1, "\(repository)")
    }
  }

  @Test("ports")
  func ports() {
    #expect(
      problems {
        var other = Self.container("other")
        other.container?.ports.append(PublishedPort(host: 8080, container: 80, transport: .udp))
        $0.components.append(other)
      } == ["web and other both publish port 8080/tcp"])
    #expect(
      problems { $0.components[1].container?.ports.append(PublishedPort(host: 8080, container: 81)) }
        == ["web publishes port 8080/tcp twice"])
    #expect(problems { $0.components[1].container?.ports[0].host = 0 }.count == 1)
    #expect(problems { $0.components[1].container?.network = .host }.count == 1)
  }

  @Test("artifacts")
  func artifacts() {
    for name in ["", ".", "..", "a/b", "a\0", String(repeating: "x", count: 256)] {
      #expect(problems { $0.components[0].artifacts[0].fileName = name }.count == 1, "\(name)")
    }
    for source in ["", "http://x", "https://", "file:/x", "s3://x/y", "https://a\nb"] {
      #expect(problems { $0.components[0].artifacts[0].source = source }.count == 1, "\(source)")
    }
    #expect(problems { $0.components[0].artifacts[0].source = "https://example.com/x" } == [])
    #expect(problems { $0.components[0].artifacts[0].size = -1 }.count == 1)
    #expect(problems { $0.components[0].artifacts[0].size = .max }.count == 1)
    #expect(
      problems { $0.components[0].artifacts.append(PlannedArtifact(fileName: "x", digest: digest(8), size: 1)) }
        == ["base 1.0.0: two artifacts are named x"])
    #expect(
      problems { $0.components[0].artifacts.append(PlannedArtifact(fileName: "y", digest: digest(3), size: 6)) }
        == ["web: the blob \(digest(3)) has 5 bytes here and 6 elsewhere in the plan"])
  }

  @Test("archives that would be unpacked over each other, or to nowhere")
  func archives() {
    func problems(_ names: String...) -> [String] {
      self.problems { plan in
        plan.components[0].artifacts = names.enumerated().map { number, name in
          var artifact = PlannedArtifact(fileName: name, digest: digest(20 + number), size: 10)
          artifact.unarchive = name.hasSuffix(".zip") ? .zip : .tar
          return artifact
        }
      }
    }
    #expect(problems("model.tar.gz", "data.zip", ".zip", "model.tar.gz.zip") == [])
    #expect(
      problems("model.tar.gz", "model.zip")
        == ["base 1.0.0: the archives model.tar.gz and model.zip would be unpacked to one place; rename one"])
    // What is not whole yet has another name, which is nobody else's either.
    for names in [("model.zip", "model.partial.tar"), ("model.partial.tar", "model.zip")] {
      #expect(problems(names.0, names.1).count == 1)
    }
    for (name, stem) in [("..zip", "."), ("...zip", ".."), ("...tar.gz", ".."), ("..tar.gz", ".")] {
      #expect(
        problems(name)
          == ["base 1.0.0: the archive \(name) would be unpacked to \"\(stem)\", no directory's name"])
    }
    #expect(problems(String(repeating: "x", count: 250) + ".zip").count == 1)
    // Who unpacks nothing is free to choose.
    #expect(
      self.problems { plan in
        plan.components[0].artifacts = ["model.zip", "model.tar", "...zip"].enumerated().map {
          PlannedArtifact(fileName: $1, digest: digest(20 + $0), size: 10)
        }
      } == [])
  }

  @Test("steps and environment")
  func steps() {
    #expect(problems { $0.components[0].lifecycle.steps[.startup] = Step(script: "x") }.count == 1)
    #expect(problems { $0.components[0].lifecycle.steps[.run]?.timeoutSeconds = 0 }.count == 1)
    #expect(problems { $0.components[0].lifecycle.steps[.run]?.script = "a\0b" }.count == 1)
    #expect(problems { $0.components[0].lifecycle.steps[.run]?.setenv = ["A=B": "c"] }.count == 1)
    #expect(problems { $0.components[0].lifecycle.setenv = ["": "c", "D": "e\0"] }.count == 2)
    #expect(problems { $0.components[1].container?.environment = ["A\0": "c"] }.count == 1)
  }

  @Test("configuration")
  func configuration() {
    #expect(problems { $0.components[0].configuration.defaults = [1] }.count == 1)
    #expect(problems { $0.components[0].configuration.merge = "x" }.count == 1)
    #expect(problems { $0.components[0].configuration.reset = ["", "/a", "/~0~1", "a", "/~", "/~2"] }.count == 3)
    let large = JSON.string(String(repeating: "x", count: 1 << 20))
    #expect(problems { $0.components[0].configuration.merge = ["a": large] }.count == 1)
  }

  @Test("what a container may ask for")
  func limits() {
    func change(_ body: (inout ContainerSpec) -> Void) -> Int {
      problems { plan in
        guard var spec = plan.components[1].container else { return }
        body(&spec)
        plan.components[1].container = spec
      }.count
    }
    #expect(change { $0.command = [] } == 1)
    #expect(change { $0.command = ["a\0"] } == 1)
    #expect(change { $0.workingDirectory = "a" } == 1)
    #expect(change { $0.devices = ["/etc/passwd", "/dev/../etc/passwd", "/dev/null"] } == 2)
    #expect(change { $0.volumes = [Volume(source: .named("../x"), path: "/x")] } == 1)
    #expect(change { $0.volumes = [Volume(source: .hostPath("x"), path: "/")] } == 2)
    #expect(
      change {
        $0.volumes = [Volume(source: .named("a"), path: "/x"), Volume(source: .hostPath("/b"), path: "/x")]
      } == 1)
    #expect(change { $0.resources = Resources(cpuMillis: 0, memoryBytes: 1, pids: -1) } == 3)
    #expect(change { $0.resources = Resources(cpuMillis: 1, memoryBytes: 1 << 20, pids: 1) } == 0)
    #expect(change { $0.stopTimeoutSeconds = -1 } == 1)
    #expect(change { $0.restart.backoffMaximumMilliseconds = 0 } == 1)
    #expect(change { $0.health = HealthCheck(probe: .http(port: 0, path: "x")) } == 2)
    #expect(change { $0.health = HealthCheck(probe: .tcp(port: 0)) } == 1)
    #expect(change { $0.health = HealthCheck(probe: .exec([])) } == 1)
    #expect(
      change {
        $0.health = HealthCheck(probe: .tcp(port: 1))
        $0.health?.intervalMilliseconds = 0
      } == 1)
  }

  @Test("every problem is one line that names its component")
  func sentences() {
    let found = problems { plan in
      plan.components[0].artifacts[0].fileName = ".."
      plan.components[1].container?.devices = ["x"]
    }
    #expect(found == ["base 1.0.0: \"..\" is not a file name", "web 1.0.0: \"x\" is not a device node"])
  }
}
