import WherryDocker
import WherryJSON
import WherryModel
import WherryWire

/// What is kept of a container that a script started: enough to find it again, and to start it again, after the agent
/// was killed. It lies in the container's directory from before the launch until the container is removed.
struct ScriptContainerRecord: Hashable {
  /// 12 hexadecimal digits.
  var id: String
  var component: ComponentName
  /// Of the component that started it; with another one it has no place any more.
  var identity: String
  /// As typed, behind `docker`.
  var words: [String]
  /// `NAME=value`, what the caller's files and variables stand for included.
  var environment: [String]
  /// The caller's working directory.
  var directory: String
  /// By a step with RequiresPrivilege.
  var isPrivileged: Bool
  var image: PlannedImage
  var createdAt: Instant

  /// Its directory's name, too.
  var workload: String { "\(component).docker-\(id)" }

  /// The id in a workload's name; nil = it is no container of a script's.
  static func id(inWorkload text: String) -> String? {
    guard let dot = text.lastIndex(of: "."), case let last = text[text.index(after: dot)...], last.hasPrefix("docker-")
    else { return nil }
    return String(last.dropFirst("docker-".count))
  }

  func run() throws(Failure) -> DockerRun {
    do throws(DockerMisuse) {
      guard case .run(var run) = try DockerParser.parse(words) else { throw DockerMisuse("it is no `docker run`") }
      run.environment = environment
      run.environmentFiles = []
      return run
    } catch {
      throw Failure(
        .rejected, code: "docker.usage", message: error.description,
        remedy: "correct the command in the recipe's script",
        component: component)
    }
  }

  var json: JSON {
    [
      "id": .string(id), "component": .string(component.rawValue), "identity": .string(identity),
      "words": .strings(words), "environment": .strings(environment), "directory": .string(directory),
      "privileged": .bool(isPrivileged), "image": image.json, "createdAt": .integer(createdAt.milliseconds),
    ]
  }

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    id = try cursor.require("id").string()
    component = try cursor.require("component").name()
    identity = try cursor.require("identity").string()
    words = try cursor.require("words").strings()
    environment = try cursor.require("environment").strings()
    directory = try cursor.require("directory").string()
    isPrivileged = try cursor.require("privileged").bool()
    image = try PlannedImage(cursor.require("image"))
    createdAt = Instant(milliseconds: try cursor.require("createdAt").integer())
  }

  init(
    id: String, component: ComponentName, identity: String, request: DockerRequest, isPrivileged: Bool,
    image: PlannedImage, createdAt: Instant
  ) {
    self.id = id
    self.component = component
    self.identity = identity
    words = request.words
    environment = request.environment
    directory = request.directory
    self.isPrivileged = isPrivileged
    self.image = image
    self.createdAt = createdAt
  }
}

/// What comes over a component's socket.
struct DockerRequest {
  var words: [String]
  var environment: [String]
  var directory: String

  private static let wordsMaximum = 1_000

  init(_ json: JSON) throws(JSONShapeError) {
    let cursor = JSONCursor(json)
    let words = try cursor.require("docker")
    self.words = try words.strings()
    environment = try cursor.optional("environment")?.strings() ?? []
    directory = try cursor.optional("directory")?.string() ?? "/"
    guard self.words.count <= Self.wordsMaximum, environment.count <= Self.wordsMaximum else {
      throw words.fail("has more than \(Self.wordsMaximum) words")
    }
    for text in self.words + environment where text.utf8.contains(0) { throw words.fail("holds a NUL byte") }
  }
}

/// One container as the agent has it in its hands.
final class ScriptContainer {
  let record: ScriptContainerRecord
  let run: DockerRun
  var machine: DockerContainer
  var link: (any RunningWorkload)?
  /// Who is told of its end.
  var waiting: [LocalClient] = []
  /// Told once it runs.
  var starting: LocalClient?
  var failure: Failure?
  var groups: [DockerWaiting] = []

  var name: String { run.name ?? record.id }

  init(_ record: ScriptContainerRecord, _ run: DockerRun, at now: Instant) {
    self.record = record
    self.run = run
    let signal = record.image.stopSignal
    machine = DockerContainer(run, stopSignal: signal.isEmpty ? nil : signal, at: now)
  }
}
