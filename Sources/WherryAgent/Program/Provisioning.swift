import Glibc
import WherryCrypto
import WherryJSON
import WherryModel
import WherryWire

/// `wherry-agent provision`: the key is made here and never leaves; the claim buys a certificate for it.
struct Provisioning {
  private let configuration: AgentConfiguration
  private let options: AgentCommand.ProvisionOptions
  private let paths: AgentPaths

  init(_ configuration: AgentConfiguration, _ options: AgentCommand.ProvisionOptions) {
    self.configuration = configuration
    self.options = options
    paths = AgentPaths(configuration)
  }

  func run() throws {
    let store = TrustStore(directory: paths.trust)
    guard try !store.exists() || options.force else {
      let name = (try? store.load().name.rawValue) ?? "unknown"
      throw Failure(
        .internalError, code: "trust.exists",
        message: "this device has an identity already (\(name), in \(paths.trust))",
        remedy: "add --force to replace it")
    }
    let claim = try readClaim()
    let key = try PrivateKey.generate()
    let request = ProvisioningRequest(
      device: options.name, csr: try key.certificateRequest(commonName: options.name.rawValue),
      platform: HostPlatform.current(), labels: options.labels)
    for directory in [paths.root, paths.run] { try Files.ensureDirectory(directory) }
    let response = try redeem(claim, request)
    guard response.device == options.name else {
      throw Failure(
        .verify, code: "provision.wrongDevice",
        message: "the service answered for \(response.device) instead of \(options.name)", remedy: "use a new claim")
    }
    try store.save(response, privateKeyPEM: key.pem, at: SystemClock().wall)
    Output.print("\(response.device) is provisioned; start it with `wherry-agent run`")
  }

  private func readClaim() throws -> Claim {
    let text = options.claim.hasPrefix("@") ? try Files.text(String(options.claim.dropFirst())) : options.claim
    do { return try Claim(text: text) } catch {
      throw Failure(
        .internalError, code: "claim.invalid", message: "the claim cannot be used: \(error.message)",
        remedy: "make one with `wherry claim create`")
    }
  }

  private func redeem(_ claim: Claim, _ request: ProvisioningRequest) throws -> ProvisioningResponse {
    let url = (claim.url.hasSuffix("/") ? String(claim.url.dropLast()) : claim.url) + "/v1/provision"
    let job: JSON = [
      "url": .string(url), "method": "POST", "caPEM": .string(claim.authority),
      "headers": ["Authorization": .string("Bearer " + claim.token), "Content-Type": "application/json"],
      "body": .string(request.json.canonical),
    ]
    let answer = try exchange(job, url)
    let status = answer["status"]?.integerValue ?? 0
    let body = answer["body"]?.stringValue ?? ""
    guard (200..<300).contains(status) else { throw refusal(status, body, url) }
    do { return try ProvisioningResponse(JSONCursor(JSON(parsing: body))) } catch {
      throw Failure(
        .internalError, code: "provision.malformed", message: "the answer of \(url) cannot be read: \(error)",
        remedy: "see whether service and agent are of the same version")
    }
  }

  private func exchange(_ job: JSON, _ url: String) throws -> JSON {
    let worker = ProcessWorker(program: configuration.fetch, directory: paths.run)
    let run = try worker.start(.exchange, job: job)
    let clock = SystemClock()
    var answer: JSON?
    while true {
      var entry = pollfd(fd: run.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, run.descriptor < 0 ? 5 : -1)
      for event in run.readEvents(now: clock.now) {
        switch event {
        case .line(let json):
          if let failed = json["failed"] { throw try Failure(JSONCursor(failed)) }
          if json["status"] != nil { answer = json }
        case .ended(_, let detail):
          if let answer { return answer }
          throw Failure(
            .download, code: "worker.failed", message: "\(url) could not be asked: \(detail)",
            remedy: "see whether the service is reachable from here")
        }
      }
    }
  }

  private func refusal(_ status: Int64, _ body: String, _ url: String) -> Failure {
    if let json = try? JSON(parsing: body), let detail = json["detail"]?.stringValue ?? json["title"]?.stringValue {
      return Failure(
        .rejected, code: "provision.refused", message: "the service refused: \(detail)",
        remedy: json["remedy"]?.stringValue ?? "make a new claim with `wherry claim create`")
    }
    return Failure(
      .rejected, code: "provision.refused", message: "\(url) answered with status \(status)",
      remedy: "make a new claim with `wherry claim create`")
  }
}

/// What this device is, in Greengrass's words.
enum HostPlatform {
  static func current() -> Platform {
    var names = utsname()
    uname(&names)
    let machine = withUnsafePointer(to: &names.machine) {
      $0.withMemoryRebound(to: CChar.self, capacity: 65) { String(cString: $0) }
    }
    let architecture =
      switch machine {
      case "x86_64": "amd64"
      case "aarch64", "arm64": "aarch64"
      case "i386", "i686": "x86"
      default: machine.hasPrefix("arm") ? "arm" : machine
      }
    var attributes = ["os": "linux", "architecture": architecture]
    if machine.hasPrefix("arm") { attributes["architecture.detail"] = machine }
    return Platform(attributes)
  }
}
