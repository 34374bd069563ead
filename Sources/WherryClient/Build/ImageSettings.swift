import WherryJSON
import WherryModel
import WherryOCI
import WherryRecipe

/// The configuration of an image (OCI image-spec, config.md): the base's with what the definition says over it.
struct ImageSettings {
  private let definition: ImageDefinition

  init(_ definition: ImageDefinition) { self.definition = definition }

  /// - Parameter diffIDs: of the layers over the base's.
  func config(on base: JSON?, platform: ImagePlatform, diffIDs: [Digest]) -> JSON {
    var config = base ?? [:]
    config["os"] = .string(platform.os)
    config["architecture"] = .string(platform.architecture)
    if !platform.variant.isEmpty { config["variant"] = .string(platform.variant) }
    let settings = settings(on: config["config"])
    config["config"] = settings.objectValue?.isEmpty == false ? settings : nil
    let before = config["rootfs"]?["diff_ids"]?.arrayValue ?? []
    config["rootfs"] = ["type": "layers", "diff_ids": .array(before + diffIDs.map { .string("\($0)") })]
    // A history tells of all layers or there is none.
    let history = config["history"]?.arrayValue ?? []
    if !history.isEmpty || before.isEmpty {
      config["history"] = .array(history + diffIDs.map { _ in ["created_by": "wherry component build"] })
    }
    return config
  }

  private func settings(on base: JSON?) -> JSON {
    var settings = base?.objectValue == nil ? [:] : base ?? [:]
    if !definition.environment.isEmpty { settings["Env"] = environment(over: settings["Env"]) }
    if let entrypoint = definition.entrypoint {
      settings["Entrypoint"] = .array(entrypoint.map { .string($0) })
      // The base's command was meant for the base's entrypoint.
      settings["Cmd"] = nil
    }
    if let command = definition.command { settings["Cmd"] = .array(command.map { .string($0) }) }
    if let user = definition.user { settings["User"] = .string(user) }
    if let directory = definition.workingDirectory { settings["WorkingDir"] = .string(directory) }
    if let signal = definition.stopSignal { settings["StopSignal"] = .string(signal) }
    for (key, value) in definition.labels {
      var labels = settings["Labels"]?.objectValue ?? [:]
      labels[key] = .string(value)
      settings["Labels"] = .object(labels)
    }
    for port in definition.ports {
      var ports = settings["ExposedPorts"]?.objectValue ?? [:]
      ports[port] = .object([:])
      settings["ExposedPorts"] = .object(ports)
    }
    return settings
  }

  /// Names keep the places that they have in the base; new ones follow in order.
  private func environment(over base: JSON?) -> JSON {
    var rest = definition.environment
    var lines = (base?.arrayValue ?? []).compactMap(\.stringValue).map { line in
      let name = String(line.prefix { $0 != "=" })
      return rest.removeValue(forKey: name).map { "\(name)=\($0)" } ?? line
    }
    lines += rest.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    return .array(lines.map { .string($0) })
  }
}
