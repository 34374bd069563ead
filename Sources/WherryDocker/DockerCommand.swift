import WherryModel

/// What a script asked of `docker`, as it was typed. Parsed by `DockerParser`; whether it is allowed is the agent's
/// affair.
package enum DockerCommand: Hashable, Sendable {
  case run(DockerRun)
  case stop([String], graceSeconds: Int?)
  case kill([String], signal: String)
  case remove([String], isForced: Bool)
  case wait([String])
  case pull(String, isQuiet: Bool)
  case list(DockerList)
  case images(reference: String?, isQuiet: Bool)
  case removeImages([String])
  case logs(String, tail: Int?, follows: Bool, hasTimes: Bool)
  case inspect([String])
  /// Nil = the default registry.
  case login(registry: String?)
  case version
  case help(String)
}

package struct DockerRun: Hashable, Sendable {
  package var image: String
  package var arguments: [String] = []
  package var name: String?
  package var isDetached = false
  package var isRemovedAtEnd = false
  package var takesInput = false
  /// `NAME=value`, or `NAME` for the caller's own.
  package var environment: [String] = []
  package var environmentFiles: [String] = []
  package var ports: [PublishedPort] = []
  package var volumes: [DockerVolume] = []
  package var network = NetworkMode.bridge
  package var devices: [String] = []
  package var isPrivileged = false
  package var capabilitiesAdded: [String] = []
  package var capabilitiesDropped: [String] = []
  package var user: String?
  /// Replaces the image's; `[""]` is none.
  package var entrypoint: String?
  package var workingDirectory: String?
  package var hostName: String?
  package var hasReadOnlyRoot = false
  package var limits: [String: ProcessLimit] = [:]
  package var memoryBytes: Int64?
  package var cpuMillis: Int?
  package var pids: Int?
  package var restart = DockerRestart.never
  package var stopSignal: String?
  package var stopSeconds: Int?
  package init(image: String) { self.image = image }
}

/// `-v SOURCE:PATH[:ro]`, or `--mount`.
package struct DockerVolume: Hashable, Sendable {
  /// A path, or the name of a volume that is kept with the component.
  package var source: String
  package var path: String
  package var isReadOnly: Bool
  package init(source: String, path: String, isReadOnly: Bool = false) {
    self.source = source
    self.path = path
    self.isReadOnly = isReadOnly
  }
  package var isNamed: Bool { !source.hasPrefix("/") && !source.hasPrefix(".") && !source.hasPrefix("~") }
}

package enum DockerRestart: Hashable, Sendable {
  case never
  /// Nil = as often as it takes.
  case onFailure(maximum: Int?)
  case always
}

package struct DockerList: Hashable, Sendable {
  package var showsAll = false
  package var isQuiet = false
  /// All of these parts of a name, as Docker filters.
  package var names: [String] = []
  package var statuses: [String] = []
  package init() {}
}

/// Why a command line is not carried out: one sentence.
package struct DockerMisuse: Error, Hashable, Sendable, CustomStringConvertible {
  package var description: String
  package init(_ description: String) { self.description = description }
}
