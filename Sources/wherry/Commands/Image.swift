import ArgumentParser
import Glibc
import WherryClient
import WherryJSON
import WherryModel
import WherryOCI

struct ImageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "image", abstract: "Images of the service's own registry, and copies from and to others.",
    discussion: """
      Example: wherry image push web.tar team/web:1.4

      A recipe names such an image `wherry:team/web:1.4`.
      """,
    subcommands: [Push.self, List.self, Inspect.self, Copy.self])

  struct Push: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Push images of an OCI layout, or of an archive that docker, podman or skopeo saved.",
      discussion: """
        Examples:
          wherry image push web.tar team/web:1.4
          wherry image push layout/ team/web

        Without a tag all images of the source are pushed under the names that they have there.
        """)
    @Argument(help: "An OCI layout (directory or tar archive) or an archive of `docker save`.") var source: String
    @Argument(help: "REPOSITORY[:TAG] in the service's registry.") var destination: String
    @Option(help: "Which of the source's images; without it the one that is named like the tag, or the only one.")
    var name: String?
    @OptionGroup var options: OutputOptions

    func run() throws {
      let place = try ImagePlace.find(destination, isOurs: true)
      guard place.reference.isOfService, place.reference.digest == nil else {
        throw ValidationError(
          "\"\(destination)\" must be REPOSITORY[:TAG] in the service's registry; `wherry image copy` brings images "
            + "elsewhere")
      }
      let layout = try RegistryLayout(path: source)
      let tag = ImageText.namesTag(destination) ? place.reference.tag : nil
      let progress = ImageProgress(format: options.output)
      let transfer = RegistryTransfer(
        from: layout, to: place.reference.repository, at: place.client, onEvent: progress.show)
      var pushed: [JSON] = []
      for (image, tag) in try ImageText.chosen(of: layout.images, name: name, tag: tag, source: source) {
        let summary = try transfer.run(image, as: tag)
        progress.end()
        let reference = "\(ImageReference.serviceRegistry)\(place.reference.repository):\(tag)"
        pushed.append(summary.json(reference))
        if options.output == .table { Console.write(summary.text("Pushed", reference)) }
      }
      if options.output == .json { Console.line(JSON.object(["images": .array(pushed)]).canonical) }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "The repositories of the service's registry, or the images of one.",
      discussion: "Example: wherry image list team/web")
    @Argument(help: "A repository; without it all of them.") var repository: String?
    @OptionGroup var options: OutputOptions

    func run() throws {
      guard let repository else { return try listRepositories() }
      let place = try ImagePlace.find(repository, isOurs: true)
      let name = place.reference.repository
      let client = place.client
      guard let tags = try client.tags(of: name) else {
        throw UserError("\(place.server.base) has no repository \(name); `wherry image list` names them")
      }
      // A tag may go while this looks.
      let images = try tags.compactMap { tag in try client.manifest(tag, in: name).map { (tag, $0) } }
      options.show(["repository": .string(name), "images": .array(images.map { ImageText.json($0.1, tag: $0.0) })]) {
        Console.table(["TAG", "DIGEST", "SIZE", "PLATFORMS"], images.map { ImageText.row($0.1, tag: $0.0) })
      }
    }

    private func listRepositories() throws {
      let client = RegistryClient(ImagePlace.own(try Session.load())) { milliseconds in
        _ = poll(nil, 0, Int32(milliseconds))
      }
      let repositories = try client.repositories().map { ($0, try client.tags(of: $0) ?? []) }
      options.show([
        "repositories": .array(
          repositories.map { name, tags in ["name": .string(name), "tags": .array(tags.map { .string($0) })] })
      ]) {
        Console.table(["REPOSITORY", "TAGS"], repositories.map { [$0, $1.joined(separator: ", ")] })
      }
    }
  }

  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "An image's digest, platforms, configuration and layers.",
      discussion: "Example: wherry image inspect team/web:1.4")
    @Argument(help: "REPOSITORY[:TAG or @DIGEST] in the service's registry, or HOST/REPOSITORY… elsewhere.")
    var image: String
    @Option(name: .customLong("insecure-registry"), help: "HOST:PORT that is spoken to without TLS (repeatable).")
    var insecure: [String] = []
    @OptionGroup var options: OutputOptions

    func run() throws {
      let place = try ImagePlace.find(image, isOurs: true, insecure: insecure)
      let manifest = try ImageText.manifest(of: place)
      var config: JSON?
      if !manifest.isIndex, let blob = manifest.blobs.first {
        let limit = RegistryManifest.bytesMaximum
        let bytes = try place.client.bytes(of: blob, in: place.reference.repository, bytesMaximum: limit)
        config = try? JSON(parsing: bytes, limits: JSONLimits(bytesMaximum: limit))
      }
      options.show(ImageText.json(manifest, config: config, reference: place.text)) {
        ImageText.details(manifest, config: config, reference: place.text)
      }
    }
  }

  struct Copy: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Copy an image, with all its platforms, between registries.",
      discussion: """
        Examples:
          wherry image copy docker.io/library/nginx:1.27 wherry:mirror/nginx:1.27
          wherry image copy wherry:team/web:1.4 wherry:team/web:stable

        References are as in recipes: `wherry:` is the service's own registry, no host is Docker Hub. Other registries
        get what `docker login`, `podman login` or `skopeo login` stored for them.
        """)
    @Argument(help: "The image to copy.") var source: String
    @Argument(help: "Its new place and tag.") var destination: String
    @Option(name: .customLong("insecure-registry"), help: "HOST:PORT that is spoken to without TLS (repeatable).")
    var insecure: [String] = []
    @OptionGroup var options: OutputOptions

    func run() throws {
      let from = try ImagePlace.find(source, isOurs: false, insecure: insecure)
      let to = try ImagePlace.find(destination, isOurs: false, insecure: insecure)
      guard let tag = to.reference.tag, to.reference.digest == nil else {
        throw ValidationError("\"\(destination)\" must have a tag and no digest: the digest is the image's own")
      }
      let manifest = try ImageText.manifest(of: from)
      let folder = try TemporaryFolder()
      defer { folder.remove() }
      let progress = ImageProgress(format: options.output)
      let neighbour = from.server.base == to.server.base ? from.reference.repository : nil
      let transfer = RegistryTransfer(
        from: RegistryRepository(from.reference.repository, at: from.client, directory: folder.path),
        to: to.reference.repository, at: to.client, neighbour: neighbour, onEvent: progress.show)
      let summary = try transfer.run(manifest.content, as: tag)
      progress.end()
      options.show(summary.json(to.text)) { summary.text("Copied \(from.text) to", to.text) }
    }
  }
}
