import WherryModel

/// Docker's command line as far as it is carried out here. Everything else is refused in one sentence that says what to
/// do instead.
package enum DockerParser {
  /// - Parameter words: without the program's own name.
  package static func parse(_ words: [String]) throws(DockerMisuse) -> DockerCommand {
    var words = words[...]
    while let word = words.first, word.hasPrefix("-") {
      words.removeFirst()
      if ["--help", "-h"].contains(word) { return .help("") }
      if ["--version", "-v"].contains(word) { return .version }
      throw DockerMisuse(
        "docker: \(word.prefix(60)) is not known here; there is one engine, the agent of this device, and it needs none"
      )
    }
    guard let verb = words.popFirst() else { return .help("") }
    let rest = Array(words)
    if let noun = rest.first, let meant = nouns[verb]?[noun] { return try command(meant, Array(rest.dropFirst())) }
    if let known = nouns[verb] {
      if verb == "image" || verb == "container" || verb == "system" {
        throw DockerMisuse(
          "docker \(verb) \(rest.first?.prefix(60) ?? ""): not carried out here; there are "
            + known.keys.sorted().map { "\(verb) \($0)" }.joined(separator: ", "))
      }
    }
    return try command(verb, rest)
  }

  /// `docker container run` and so on are longer names of the same.
  private static let nouns: [String: [String: String]] = [
    "container": [
      "run": "run", "stop": "stop", "kill": "kill", "rm": "rm", "ls": "ps", "list": "ps", "ps": "ps", "logs": "logs",
      "inspect": "inspect", "wait": "wait",
    ],
    "image": [
      "ls": "images", "list": "images", "pull": "pull", "load": "load", "rm": "rmi", "tag": "tag", "inspect": "inspect",
    ],
    "system": ["info": "version"],
  ]

  private static let refusals = [
    "compose": "publish each service as a component of its own with a Container, or call `docker run` for each",
    "network": "containers on the bridge reach each other already; leave it out, or use --network host",
    "volume":
      "name a volume in `docker run -v NAME:PATH`: it is made when it is first used and kept with the component",
    "build": "build the image elsewhere, publish it with `wherry image push` and list it as a docker: artifact",
    "exec": "run a shell in the component with `wherry-agent exec`, or start what is needed with `docker run`",
    "start": "use `docker run`: a container that has ended stays only to be read",
    "restart": "use `docker rm -f NAME` and `docker run`, or --restart",
    "create": "use `docker run -d`",
    "load": "push the archive's images with `wherry image push` and list them as docker: artifacts",
    "tag": "run the image by the name that the recipe lists it by",
    "push": "push it from where it was built, with `wherry image push`",
    "save": "images come as artifacts, and leave the device in no other form",
    "cp": "mount a directory with -v, such as the component's work directory",
    "attach": "use `docker logs -f NAME`",
    "swarm": "deploy with `wherry deploy`", "service": "deploy with `wherry deploy`",
    "stats": "use `wherry-agent stats`", "commit": "build the image elsewhere and list it as a docker: artifact",
  ]

  private static func command(_ verb: String, _ words: [String]) throws(DockerMisuse) -> DockerCommand {
    if let remedy = refusals[verb] {
      throw DockerMisuse("docker \(verb) is not carried out here; \(remedy)")
    }
    guard let known = DockerCommandFlags.all[verb] else {
      let near = Spelling.nearest(to: verb, among: DockerCommandFlags.all.keys.sorted())
      throw DockerMisuse(
        "docker \(verb.prefix(60)): there is no such command here; "
          + (near.map { "did you mean `docker \($0)`?" } ?? "`docker --help` names those that there are"))
    }
    if words.first == "--help" || (verb != "run" && words.first == "-h") { return .help(verb) }
    let flags = try DockerFlags(words, of: verb, known)
    switch verb {
    case "run": return .run(try DockerRunParser.run(flags))
    case "stop":
      return .stop(try flags.words(1...100, "[-t SECONDS] NAME…"), graceSeconds: try flags.integer("time", 0...3_600))
    case "kill": return .kill(try flags.words(1...100, "[-s SIGNAL] NAME…"), signal: flags.last("signal") ?? "KILL")
    case "rm": return .remove(try flags.words(1...100, "[-f] NAME…"), isForced: flags.has("force"))
    case "wait": return .wait(try flags.words(1...100, "NAME…"))
    case "logs":
      return .logs(
        try flags.words(1...1, "[-f] [--tail N] NAME")[0], tail: try tail(flags), follows: flags.has("follow"),
        hasTimes: flags.has("timestamps"))
    case "ps": return .list(try list(flags))
    case "inspect": return .inspect(try flags.words(1...100, "NAME or IMAGE…"))
    default: return try imageCommand(verb, flags)
    }
  }

  private static func imageCommand(_ verb: String, _ flags: DockerFlags) throws(DockerMisuse) -> DockerCommand {
    switch verb {
    case "pull": return .pull(try flags.words(1...1, "IMAGE")[0], isQuiet: flags.has("quiet"))
    case "images":
      return .images(reference: try flags.words(0...1, "[-q] [IMAGE]").first, isQuiet: flags.has("quiet"))
    case "rmi": return .removeImages(try flags.words(1...100, "IMAGE…"))
    case "login", "logout": return .login(registry: try flags.words(0...1, "[REGISTRY]").first)
    default: return .version
    }
  }

  private static func tail(_ flags: DockerFlags) throws(DockerMisuse) -> Int? {
    flags.last("tail") == "all" ? nil : try flags.integer("tail", 0...1_000_000)
  }

  private static func list(_ flags: DockerFlags) throws(DockerMisuse) -> DockerList {
    var list = DockerList()
    list.showsAll = flags.has("all")
    list.isQuiet = flags.has("quiet")
    for filter in flags.all("filter") {
      let parts = filter.split(separator: "=", maxSplits: 1).map(String.init)
      switch parts.first {
      case "name" where parts.count == 2: list.names.append(parts[1])
      case "status" where parts.count == 2: list.statuses.append(parts[1])
      default:
        throw DockerMisuse(
          "docker ps: the filter \"\(filter.prefix(60))\" is not known here; use name=NAME or status=STATUS")
      }
    }
    return list
  }
}
