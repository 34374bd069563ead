import WherryIsolation
import WherryJSON
import WherryModel
import WherryWire

/// A worker whose download jobs say what this device knows of the registries that their items are of: mirrors, token
/// servers and credentials, and of no other registry. The secrets reach the worker as the rest of its job does, which
/// is neither on its command line nor in its environment.
package final class RegistryWorker: Worker {
  private let worker: any Worker
  private let settings: RegistrySettings
  private let reaper = ProcessReaper()

  package init(_ worker: any Worker, settings: RegistrySettings) {
    self.worker = worker
    self.settings = settings
  }

  package var hasLeftovers: Bool { worker.hasLeftovers || !reaper.isEmpty }

  package func tidy() {
    reaper.reap()
    worker.tidy()
  }

  package func start(_ mode: WorkerMode, job: JSON) throws(Failure) -> any WorkerRun {
    let hosts = Set(Self.registries(of: job).flatMap { settings.places(of: $0) }).sorted()
    var credentials = try fileCredentials(of: hosts)
    let questions = hosts.compactMap { host in settings.commands[host].map { (host, $0) } }
    let begin = { [worker, settings] (answers: [RegistryHost: RegistryCredential]) throws(Failure) -> any WorkerRun in
      credentials.merge(answers) { $1 }
      let entries = hosts.compactMap { RegistryWorker.entry($0, settings, credentials[$0]) }
      var whole = job
      if !entries.isEmpty { whole["registries"] = .array(entries) }
      return try worker.start(mode, job: whole)
    }
    guard !questions.isEmpty else { return try begin([:]) }
    return try CredentialedRun(asking: questions, reaper: reaper, then: begin)
  }

  /// Of the items that are blobs of a registry.
  private static func registries(of job: JSON) -> Set<RegistryHost> {
    let urls = job["items"]?.arrayValue?.compactMap { $0["url"]?.stringValue } ?? []
    return Set(
      urls.compactMap { url in
        let parts = url.split(separator: "/", maxSplits: 4, omittingEmptySubsequences: false)
        return parts.count == 5 && parts[3] == "v2" ? RegistryHost(url: url) : nil
      })
  }

  /// The file is read each time, so that it may be replaced at any time; not for registries that have a command.
  private func fileCredentials(of hosts: [RegistryHost]) throws(Failure) -> [RegistryHost: RegistryCredential] {
    guard let path = settings.authFile, hosts.contains(where: { settings.commands[$0] == nil }) else { return [:] }
    let bytes = try Files.read(path, maximum: RegistryAuthFile.bytesMaximum)
    return try RegistryAuthFile(parsing: bytes, path: path).credentials.filter { hosts.contains($0.key) }
  }

  private static func entry(
    _ host: RegistryHost, _ settings: RegistrySettings, _ credential: RegistryCredential?
  ) -> JSON? {
    var entry: JSON = ["host": .string(host.authority)]
    if let mirrors = settings.mirrors[host] { entry["mirrors"] = .array(mirrors.map { .string($0.description) }) }
    if let servers = settings.tokenServers[host] { entry["tokenServers"] = .array(servers.sorted().map(JSON.string)) }
    if let credential {
      entry["username"] = .string(credential.user)
      entry["password"] = .string(credential.secret)
    }
    // Not `nil` in a conditional: that would be JSON's null, which is something.
    guard entry.objectValue?.count != 1 else { return .none }
    return .some(entry)
  }
}
