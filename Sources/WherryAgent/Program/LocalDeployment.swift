import Glibc
import WherryCrypto
import WherryJSON
import WherryModel
import WherryPlanning
import WherryWire

/// `wherry-agent deploy`: reads, resolves and stages in this short-lived process; the agent gets what is left to do as
/// a set of exact versions.
struct LocalDeployment {
  let configuration: AgentConfiguration
  let options: DeployOptions
  private let commands: LocalConnection.Commands
  private let paths: AgentPaths
  private static let triesMaximum = 3

  init(_ configuration: AgentConfiguration, _ options: DeployOptions) {
    self.configuration = configuration
    self.options = options
    paths = AgentPaths(configuration)
    commands = LocalConnection.Commands(socket: paths.socket)
  }

  /// Gives the exit code.
  func run() throws -> Int32 {
    let updates = try options.configurations()
    // Whoever may not deploy is told so before anything is read.
    _ = try context()
    var folder = RecipeFolder(configuration, options)
    var request = LocalRequest()
    request.recipes = try folder.load()
    request.files = Set(folder.files.keys)
    request.merge = options.merge
    request.remove = options.remove
    request.configurations = updates
    let id = try send(request, folder)
    if !options.watch {
      if options.asJSON {
        Output.print(JSON.object(["id": .string(id)]).canonical)
      } else {
        Output.print("local deployment \(id) has begun; see how it ends with `wherry-agent deploy status \(id)`")
      }
      return 0
    }
    return try LocalDeploymentStatus(commands, asJSON: options.asJSON).watch(id)
  }

  private func context() throws -> JSON {
    let context = try commands.localContext()
    guard context["allowed"]?.boolValue == true else {
      // In the agent's own words.
      let nothing = LocalDeploymentRequest(basis: nil, local: LocalSet(), policy: options.policy)
      try commands.ask(nothing.json) { _ in }
      throw Misuse(message: "the agent takes no local deployments")
    }
    return context
  }

  /// What it is resolved beside may change meanwhile; then it is resolved again.
  private func send(_ request: LocalRequest, _ folder: RecipeFolder) throws -> String {
    var tries = 1
    while true {
      do {
        return try attempt(request, folder, try context())
      } catch let failure as Failure where failure.code == "local.changed" && tries < Self.triesMaximum {
        tries += 1
      }
    }
  }

  private func attempt(_ request: LocalRequest, _ folder: RecipeFolder, _ context: JSON) throws -> String {
    let service = try context["service"].map { try Plan(JSONCursor($0)) }
    let known = try context["local"].map { try LocalSet(JSONCursor($0)) } ?? LocalSet()
    let local: LocalSet
    do {
      local = try LocalResolver.resolve(request, service: service, local: known, platform: HostPlatform.current())
    } catch { throw Self.unresolvable(error) }
    let staged = try stage(local, folder)
    // The agent has moved away what it took.
    defer { for path in staged { unlink(path) } }
    let basis = context["basis"]?.stringValue.flatMap { Digest($0) }
    var id: String?
    let wanted = LocalDeploymentRequest(basis: basis, local: local, policy: options.policy).json
    guard wanted.canonicalBytes.count < LocalDeploymentRequest.bytesMaximum else {
      throw Failure(
        .rejected, code: "local.tooLarge",
        message: "all that is deployed locally has more than \(LocalDeploymentRequest.bytesMaximum) bytes of recipes",
        remedy: "put scripts and data into artifacts")
    }
    try commands.ask(wanted) { answer in id = answer["id"]?.stringValue }
    guard let id else {
      throw Failure(
        .internalError, code: "agent.noAnswer", message: "the agent ended before it had answered",
        remedy: "see with `wherry-agent deploy list` whether the deployment has begun")
    }
    return id
  }

  private static func unresolvable(_ failure: PlanningFailure) -> Failure {
    var lines = [failure.description]
    if case .resolution(let chain) = failure { lines = chain.lines }
    let remedy = lines.count > 1 ? lines.removeLast() : ""
    return Failure(
      .rejected, code: "local.unresolvable", message: lines.joined(separator: "; "),
      remedy: remedy.isEmpty ? "correct the command or the recipes" : remedy)
  }

  /// Copies what the agent does not have yet to where it takes it from: on its own file system, whole and on the disk.
  /// Gives the copies' paths.
  private func stage(_ local: LocalSet, _ folder: RecipeFolder) throws -> [String] {
    var missing: [Digest: PlannedArtifact] = [:]
    for artifact in local.components.values.flatMap(\.planned.artifacts)
    where artifact.source == PlannedArtifact.localSource && folder.files[artifact.digest] != nil
      && !Files.exists(paths.blob(artifact.digest))
    {
      missing[artifact.digest] = artifact
    }
    try checkSpace(missing.values.reduce(0) { $0 + $1.size })
    var staged: [String] = []
    do {
      for (digest, artifact) in missing.sorted(by: { $0.key < $1.key }) {
        guard let source = folder.files[digest] else { continue }
        try Files.makeDirectory(paths.staged, mode: 0o700)
        try Self.copy(source, to: paths.stagedBlob(digest), artifact)
        staged.append(paths.stagedBlob(digest))
      }
    } catch {
      for path in staged { unlink(path) }
      throw error
    }
    return staged
  }

  private func checkSpace(_ bytes: Int64) throws {
    guard bytes > 0, let disk = Files.diskSpace(paths.root) else { return }
    let headroom = configuration.downloads.diskHeadroom ?? DownloadLimits.headroom(of: disk.total)
    guard bytes > disk.free - headroom else { return }
    throw Failure(
      .space, code: "space.short",
      message: "the artifacts need \(ByteCount.readable(bytes)) under \(paths.root), where "
        + "\(ByteCount.readable(disk.free)) are free and \(ByteCount.readable(headroom)) have to stay so",
      remedy: "free some space")
  }

  private static func copy(_ source: String, to target: String, _ artifact: PlannedArtifact) throws {
    let input = open(source, O_RDONLY | O_CLOEXEC)
    guard input >= 0 else { throw Files.failure("open", source) }
    defer { close(input) }
    let partial = "\(target).\(getpid())"
    let output = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard output >= 0 else { throw Files.failure("make", partial) }
    var isWhole = false
    defer {
      close(output)
      if !isWhole { unlink(partial) }
    }
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    while true {
      let count = read(input, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Files.failure("read", source) }
      if count == 0 { break }
      let piece = Array(buffer[..<count])
      hash.update(piece)
      guard Files.writeAll(piece, to: output) else { throw Files.failure("write", partial) }
    }
    guard hash.finish() == artifact.digest else {
      throw Failure(
        .verify, code: "local.digestMismatch", message: "\(source) changed while it was being copied",
        remedy: "deploy again when nobody writes to it")
    }
    guard fsync(output) == 0, rename(partial, target) == 0 else { throw Files.failure("write", target) }
    isWhole = true
  }
}
