/// What `image.yaml` says: how an image is put together of a base, files and a configuration, without running anything.
package struct ImageDefinition: Hashable, Sendable {
  package struct Entry: Hashable, Sendable {
    package enum Source: Hashable, Sendable {
      /// A file or a directory beside the definition; `{architecture}` in it stands for the image's.
      case path(String)
      case text(String)
      /// A symbolic link to there.
      case link(String)
      /// An empty directory.
      case directory
    }

    package var source: Source
    /// Absolute, in the image.
    package var target: String
    package var user: Int64 = 0
    package var group: Int64 = 0
    /// nil = 0755 for directories and what its owner may execute, 0644 for other files.
    package var mode: UInt32?
    /// Patterns of fnmatch(3), each for names or for paths below the source.
    package var excluded: [String] = []
    /// Whether owner or mode was given: a directory that is there already keeps its own otherwise.
    package var isExplicit = false
  }

  /// nil = nothing ("scratch").
  package var base: String?
  /// `linux/arm64/v8`; empty = that of the machine on which it is built.
  package var platforms: [String] = []
  package var entries: [Entry] = []
  package var entrypoint: [String]?
  package var command: [String]?
  package var environment: [String: String] = [:]
  package var user: String?
  package var workingDirectory: String?
  package var labels: [String: String] = [:]
  package var stopSignal: String?
  /// `8080/tcp`.
  package var ports: [String] = []
}

package struct ImageDefinitionReading: Sendable {
  /// nil when there are errors.
  package var definition: ImageDefinition?
  package var problems: [RecipeProblem]
}
