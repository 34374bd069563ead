import WherryModel
import WherryWire

extension AgentConfiguration {
  /// `registry_mirror.docker.io = mirror.example.com`: the registry is a part of the key.
  mutating func setRegistry(_ key: String, to value: String, at place: String) throws(Failure) {
    let word = String(key.prefix { $0 != "." })
    let name = String(key.dropFirst(word.count + 1))
    do throws(Failure) {
      switch word {
      case "registry_mirror": try registries.addMirrors(value, for: name)
      case "registry_token_server": try registries.addTokenServers(value, for: name)
      case "registry_credential":
        try registries.addCommand(value, for: name)
        guard value.hasPrefix("/") else {
          // Root runs it, and root's search path is not a thing to depend on.
          throw Self.refusal(
            "the program of \"\(value.prefix(80))\" has no absolute path", "write it as /usr/bin/PROGRAM")
        }
      default:
        throw Self.refusal("the key \"\(key.prefix(80))\" is not known", "see Docs/operations.md for the keys")
      }
    } catch { throw Self.refusal("\(place): \(error.message)", error.remedy) }
  }
}
