import Glibc
import WherryOCI

/// A program that builds images from Containerfiles. What it prints goes to standard error, so that standard output is
/// for the one who asked.
struct ImageBuilder {
  enum Kind: String, CaseIterable { case buildah, podman, docker }

  let kind: Kind

  /// The first that is installed.
  static func find() -> ImageBuilder? { Kind.allCases.first { program($0.rawValue) != nil }.map(ImageBuilder.init) }

  /// - Returns: nil where it is not installed.
  static func find(_ kind: Kind) -> ImageBuilder? { program(kind.rawValue) == nil ? nil : ImageBuilder(kind: kind) }

  private static func program(_ name: String) -> String? {
    (Files.environment("PATH") ?? "/usr/bin:/bin").split(separator: ":").map { "\($0)/\(name)" }
      .first { access($0, X_OK) == 0 && Files.isFile($0) }
  }

  struct Job {
    /// Relative to `directory`.
    var file: String
    var directory: String
    var platform: ImagePlatform?
    /// `KEY=value`.
    var arguments: [String]
  }

  /// Builds into an archive that `RegistryLayout` reads, and leaves no image of its own behind.
  func build(_ job: Job, to archive: String) throws {
    let name = "localhost/wherry-build:\(getpid())-\(UInt32.random(in: 0 ... .max))"
    var build = [kind.rawValue, "build", "--file", "\(job.directory)/\(job.file)", "--tag", name]
    // Without times of its own an image has the same digest whenever it is built of the same.
    if kind != .docker { build += ["--format", "oci", "--timestamp", "0"] }
    // Layers are kept for the next time, as the others do unasked.
    if kind == .buildah { build.append("--layers") }
    if let platform = job.platform { build += ["--platform", platform.description] }
    for argument in job.arguments { build += ["--build-arg", argument] }
    try run(build + [job.directory])
    defer { _ = try? run([kind.rawValue, "rmi", name]) }
    switch kind {
    case .buildah: try run(["buildah", "push", name, "oci-archive:\(archive)"])
    case .podman: try run(["podman", "save", "--format", "oci-archive", "--output", archive, name])
    case .docker: try run(["docker", "save", "--output", archive, name])
    }
  }

  private func run(_ words: [String]) throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO)
    let arguments = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    let error = posix_spawnp(&process, words[0], &actions, nil, arguments, environ)
    guard error == 0 else { throw UserError("\(words[0]) cannot be started: \(String(cString: strerror(error)))") }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    guard status == 0 else {
      let end = status & 0x7f == 0 ? "exited with code \(status >> 8 & 0xff)" : "was ended by signal \(status & 0x7f)"
      throw UserError("`\(words.prefix(2).joined(separator: " "))` \(end); its own words are above")
    }
  }
}
