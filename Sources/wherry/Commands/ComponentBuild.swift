import ArgumentParser
import WherryClient
import WherryJSON
import WherryModel
import WherryOCI
import WherryRecipe

extension ComponentCommand {
  struct Build: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a component's image and publish recipe and image together.",
      discussion: """
        Examples:
          wherry component build components/com.example.greeter
          wherry component build . --platform linux/amd64 --platform linux/arm64
          wherry component build . --layout /tmp/greeter

        DIR holds the recipe, and a Containerfile (or Dockerfile) that buildah, podman or docker builds, or an
        image.yaml: a base, files and a configuration, put together without any of them. The recipe's image is
        `wherry:REPOSITORY`; what is published names it with the digest of what was built.
        """)
    @Argument(help: "The directory with recipe and Containerfile or image.yaml.") var directory: String
    @Option(help: "buildah, podman, docker, or none for image.yaml; without it the first that there is.")
    var builder: Builder?
    @Option(help: "linux/amd64, linux/arm64, … (repeatable); without it image.yaml's, or this machine's.")
    var platform: [String] = []
    @Option(name: .customLong("build-arg"), help: "KEY=VALUE for the Containerfile (repeatable).")
    var buildArguments: [String] = []
    @Option(help: "Write an OCI layout there in place of publishing.") var layout: String?
    @Option(name: .customLong("insecure-registry"), help: "HOST:PORT that is spoken to without TLS (repeatable).")
    var insecure: [String] = []
    @OptionGroup var options: OutputOptions

    enum Builder: String, ExpressibleByArgument, CaseIterable { case buildah, podman, docker, none }

    func run() throws {
      let source = try recipe()
      var component = try source.read()
      let reference = try BuiltReference(of: component.recipe, path: source.recipePath)
      let folder = try TemporaryFolder()
      defer { folder.remove() }
      let built = try build(in: source.directory, workDirectory: folder.path)
      guard let image = built.content else { throw UserError("nothing was built") }
      if let layout {
        try ImageLayoutWriter.write(image, of: built, named: reference.tag, to: layout)
        options.show(["layout": .string(layout), "digest": .string("\(image.digest)")]) {
          "Wrote \(image.digest.short) to \(layout)\n"
        }
        return
      }
      component.text = try reference.pinned(to: image.digest, in: component.text, path: source.recipePath)
      let session = try Session.load()
      let place = try ImagePlace.find("\(reference.image)", isOurs: true)
      let progress = ImageProgress(format: options.output)
      let transfer = RegistryTransfer(
        from: built, to: place.reference.repository, at: place.client, onEvent: progress.show)
      // Under its digest first: the tag moves when the version that it belongs to is there.
      let pushed = try transfer.run(image, as: "\(image.digest)")
      progress.end()
      let summary = try source.publish(component, by: session.client)
      try place.client.put(try built.manifest(image), as: reference.tag, in: place.reference.repository)
      options.show(["component": summary.json, "image": pushed.json(reference.text)]) {
        pushed.text("Pushed", reference.text) + ComponentCommand.sentence(summary)
      }
    }

    private func recipe() throws -> ComponentSource {
      guard Files.isDirectory(directory) else { throw UserError("\(directory) is no directory") }
      let found = try ComponentSource.find([directory])
      guard found.count == 1, let only = found.first else {
        throw UserError("\(directory) holds \(found.count) recipes; name the directory of one")
      }
      return only
    }

    private func platforms(_ texts: [String]) throws -> [ImagePlatform] {
      try texts.map { text in
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), parts[0] == "linux", !parts.contains("") else {
          throw ValidationError(
            "platform \"\(text)\" must be written linux/amd64, linux/arm64, linux/arm/v7 or the like")
        }
        return ImagePlatform(os: parts[0], architecture: parts[1], variant: parts.count == 3 ? parts[2] : "")
      }
    }

    // MARK: - Which way

    private func build(in place: String, workDirectory: String) throws -> ComposedImage {
      let file = ["Containerfile", "Dockerfile"].first { Files.isFile("\(place)/\($0)") }
      let definition = "\(place)/image.yaml"
      if let file, builder != Builder.none {
        if let tool = try tool() { return try build(file, in: place, with: tool, workDirectory: workDirectory) }
        guard Files.isFile(definition) else {
          throw UserError(
            "\(place)/\(file) needs buildah, podman or docker, and none is installed; install one (`apt-get install "
              + "buildah`), or describe the image in an image.yaml, which needs none")
        }
      }
      guard Files.isFile(definition) else {
        throw UserError(
          "\(place) has neither a Containerfile nor an image.yaml"
            + (file == nil ? "" : " (--builder none leaves the \(file ?? "") aside)"))
      }
      guard buildArguments.isEmpty else {
        throw ValidationError("--build-arg is for a Containerfile; \(definition) takes none")
      }
      return try compose(definition, in: place, workDirectory: workDirectory)
    }

    private func tool() throws -> ImageBuilder? {
      guard let builder, let kind = ImageBuilder.Kind(rawValue: builder.rawValue) else { return ImageBuilder.find() }
      guard let tool = ImageBuilder.find(kind) else { throw UserError("\(kind.rawValue) is not installed") }
      return tool
    }

    private func build(
      _ file: String, in place: String, with tool: ImageBuilder, workDirectory: String
    ) throws -> ComposedImage {
      Console.write("\(tool.kind.rawValue) builds \(place)/\(file)\n", toError: true)
      let wanted = try platforms(platform)
      let image = ComposedImage()
      var parts: [(ImagePlatform, RegistryContent)] = []
      for platform in wanted.isEmpty ? [nil] : wanted.map({ Optional($0) }) {
        let archive = "\(workDirectory)/\(parts.count).tar"
        try tool.build(
          ImageBuilder.Job(file: file, directory: place, platform: platform, arguments: buildArguments), to: archive)
        let layout = try RegistryLayout(path: archive)
        guard let content = layout.images.first else { throw UserError("\(tool.kind.rawValue) built nothing") }
        parts.append((platform ?? Self.ownPlatform, try image.take(content, from: layout)))
      }
      try image.join(parts)
      return image
    }

    private func compose(_ path: String, in place: String, workDirectory: String) throws -> ComposedImage {
      let reading = ImageDefinitionReader.read(try Files.text(path), fileName: path)
      guard let definition = reading.definition else {
        throw UserError("\(path) is not valid:\n" + reading.problems.map { "  \($0)" }.joined(separator: "\n"))
      }
      var wanted = try platforms(platform.isEmpty ? definition.platforms : platform)
      if wanted.isEmpty { wanted = [Self.ownPlatform] }
      let base = try definition.base.map { try self.base($0, in: place, workDirectory: workDirectory) }
      return try ImageComposer(definition, directory: place, base: base, workDirectory: workDirectory)
        .compose(wanted)
    }

    /// `./base.tar` and `./layout` lie beside the definition; anything else is in a registry.
    private func base(_ text: String, in place: String, workDirectory: String) throws -> ImageComposer.Base {
      if text.hasPrefix("./") || text.hasPrefix("/") {
        let layout = try RegistryLayout(path: text.hasPrefix("/") ? text : "\(place)/\(text.dropFirst(2))")
        guard layout.images.count == 1, let image = layout.images.first else {
          throw UserError("the base \(text) holds \(layout.images.count) images; save one alone")
        }
        return ImageComposer.Base(source: layout, image: image, name: text)
      }
      let found = try ImagePlace.find(text, isOurs: false, insecure: insecure)
      let manifest = try ImageText.manifest(of: found)
      let repository = RegistryRepository(
        found.reference.repository, at: found.client, directory: workDirectory)
      return ImageComposer.Base(source: repository, image: manifest.content, name: found.text)
    }

    private static var ownPlatform: ImagePlatform {
      #if arch(arm64)
        ImagePlatform(os: "linux", architecture: "arm64")
      #elseif arch(arm)
        ImagePlatform(os: "linux", architecture: "arm")
      #else
        ImagePlatform(os: "linux", architecture: "amd64")
      #endif
    }
  }
}

/// The image that a recipe wants built: the one that it names in the service's own registry, without a digest.
struct BuiltReference {
  /// As the recipe writes it.
  let written: String
  let image: ImageReference
  let tag: String

  init(of recipe: Recipe, path: String) throws {
    let all = Set(recipe.manifests.compactMap { $0.container?.image })
    let ours = try all.filter { text in
      let reference = try ImageReference(parsing: text)
      return reference.isOfService && reference.digest == nil
    }
    guard let written = ours.first, ours.count == 1 else {
      throw UserError(
        ours.isEmpty
          ? "\(path) names no image to be built; write `Image: wherry:team/name` in its Container"
          : "\(path) names \(ours.count) images of the service's registry: \(ours.sorted().joined(separator: ", ")); "
            + "one can be built")
    }
    self.written = written
    image = try ImageReference(parsing: written)
    tag = ImageText.namesTag(written) ? image.tag ?? "latest" : "\(recipe.version)"
  }

  /// What it is called in the registry.
  var text: String { "\(ImageReference.serviceRegistry)\(image.repository):\(tag)" }

  /// The recipe with the digest of what was built, so that a version means the same bytes for ever.
  func pinned(to digest: Digest, in text: String, path: String) throws -> String {
    let whole = "\(ImageReference.serviceRegistry)\(image.repository):\(tag)@\(digest)"
    guard let pinned = ImagePin.pin(written, to: whole, in: text),
      let recipe = RecipeReader.read(pinned, fileName: path).recipe,
      recipe.manifests.allSatisfy({ $0.container?.image != written })
    else {
      throw UserError("\(path): write the image on one line, `Image: \(written)`, so that its digest can be put there")
    }
    return pinned
  }
}
