import Synchronization
import WherryClient
import WherryCrypto
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

/// A registry in memory, by the OCI distribution specification, that can be told to behave badly.
final class FakeRegistry: Sendable {
  struct Manifest: Sendable {
    var type: String
    var bytes: [UInt8]
  }

  struct State: Sendable {
    var blobs: [String: [Digest: [UInt8]]] = [:]
    /// By tag, and by digest as text.
    var manifests: [String: [String: Manifest]] = [:]
    var uploads: [String: [UInt8]] = [:]
    var uploadsBegun = 0
    /// Bytes of blobs that were received, those that were received twice included.
    var bytesReceived = 0
    /// So many chunks are taken, and the answer to them is lost.
    var answersToLose = 0
    /// `user:password` that everybody must show.
    var login: String?
    /// The login is shown to a token server, whose tokens are taken in its place.
    var hasTokens = false
    /// Names in one page of a list.
    var page = 2
    /// Set before the location of an upload.
    var uploadHost = ""
  }

  let state = Mutex(State())

  func serve() -> LoopbackServer { LoopbackServer { [self] request in answer(request) } }

  typealias Answer = LoopbackServer.Response

  private func answer(_ request: LoopbackServer.Request) -> Answer {
    state.withLock { state -> Answer in
      let halves = request.target.split(separator: "?", maxSplits: 1).map(String.init)
      let parts = halves[0].split(separator: "/").map(String.init)
      let query = Self.query(halves.count > 1 ? halves[1] : "")
      if parts == ["token"] { return Self.token(request, query, state) }
      if let challenge = Self.challenge(request, parts, state) { return challenge }
      if parts == ["v2", "_catalog"] {
        return Self.list(state.manifests.keys.sorted(), "repositories", "/v2/_catalog", query, state)
      }
      if parts.suffix(2) == ["tags", "list"] {
        let name = parts[1..<(parts.count - 2)].joined(separator: "/")
        guard let manifests = state.manifests[name] else { return Self.error(404, "there is no repository \(name)") }
        let tags = manifests.keys.filter { !$0.contains(":") }.sorted()
        return Self.list(tags, "tags", halves[0], query, state)
      }
      if let place = parts.lastIndex(of: "uploads"), parts[place - 1] == "blobs" {
        let name = parts[1..<(place - 1)].joined(separator: "/")
        return Self.upload(request, name, place + 1 < parts.count ? parts[place + 1] : nil, query, &state)
      }
      let name = parts[1..<(parts.count - 2)].joined(separator: "/")
      return Self.content(request, name, kind: parts[parts.count - 2], parts[parts.count - 1], &state)
    }
  }

  static func error(_ status: Int, _ message: String) -> Answer {
    let body: JSON = ["errors": [["code": "UNKNOWN", "message": .string(message)]]]
    return Answer(status, text: body.canonical)
  }

  private static func query(_ text: String) -> [String: String] {
    var query: [String: String] = [:]
    for pair in text.split(separator: "&") {
      let halves = pair.split(separator: "=", maxSplits: 1).map(String.init)
      query[halves[0]] = halves.count > 1 ? halves[1] : ""
    }
    return query
  }

  // MARK: - Who asks

  private static func basic(_ login: String) -> String { "Basic " + Base64.encode(Array(login.utf8)) }

  private static func challenge(_ request: LoopbackServer.Request, _ parts: [String], _ state: State) -> Answer? {
    guard let login = state.login else { return nil }
    let shown = request.headers["authorization"]
    let action = ["GET", "HEAD"].contains(request.method) ? "pull" : "pull,push"
    let name = parts.dropFirst().prefix { !["blobs", "manifests", "tags"].contains($0) }.joined(separator: "/")
    let scope = "repository:\(name):\(action)"
    if state.hasTokens ? shown == "Bearer token-for-\(scope)" : shown == basic(login) { return nil }
    var answer = error(401, "who are you?")
    let host = request.headers["host"] ?? ""
    answer.headers.append(
      (
        "WWW-Authenticate",
        state.hasTokens
          ? "Bearer realm=\"http://\(host)/token\",service=\"fake\",scope=\"\(scope)\"" : "Basic realm=\"fake\""
      ))
    return answer
  }

  private static func token(
    _ request: LoopbackServer.Request, _ query: [String: String], _ state: State
  ) -> Answer {
    guard let login = state.login, request.headers["authorization"] == basic(login), let scope = query["scope"] else {
      return error(401, "no token for you")
    }
    let plain = scope.split(separator: "%2C").joined(separator: ",")
    return Answer(text: JSON.object(["token": .string("token-for-\(plain)")]).canonical)
  }

  // MARK: - What is asked

  private static func list(
    _ names: [String], _ key: String, _ path: String, _ query: [String: String], _ state: State
  ) -> Answer {
    let rest = names.filter { $0 > query["last"] ?? "" }
    let page = rest.prefix(state.page)
    var answer = Answer(text: JSON.object([key: .array(page.map { .string($0) })]).canonical)
    if let last = page.last, page.count < rest.count {
      answer.headers.append(("Link", "<\(path)?n=\(state.page)&last=\(last)>; rel=\"next\""))
    }
    return answer
  }

  private static func upload(
    _ request: LoopbackServer.Request, _ name: String, _ id: String?, _ query: [String: String], _ state: inout State
  ) -> Answer {
    guard let id else {
      if let text = query["mount"], let digest = Digest(text), let blob = state.blobs[query["from"] ?? ""]?[digest] {
        state.blobs[name, default: [:]][digest] = blob
        return Answer(201)
      }
      state.uploadsBegun += 1
      state.uploads["\(state.uploadsBegun)"] = []
      let location = "\(state.uploadHost)/v2/\(name)/blobs/uploads/\(state.uploadsBegun)"
      return Answer(202, headers: [("Location", location), ("Range", "0-0")])
    }
    guard var bytes = state.uploads[id] else { return error(404, "there is no upload \(id)") }
    state.bytesReceived += request.body.count
    let location = ("Location", "/v2/\(name)/blobs/uploads/\(id)")
    switch request.method {
    case "GET": return Answer(204, headers: [location, ("Range", "0-\(max(0, bytes.count - 1))")])
    case "DELETE":
      state.uploads[id] = nil
      return Answer(204)
    default: break
    }
    if let range = request.headers["content-range"], !range.hasPrefix("\(bytes.count)-") {
      return error(416, "the upload has \(bytes.count) bytes")
    }
    bytes += request.body
    state.uploads[id] = bytes
    if request.method == "PATCH" {
      guard state.answersToLose == 0 else {
        state.answersToLose -= 1
        var lost = Answer(202)
        lost.declaredLength = 10
        lost.ending = .cut(after: 0)
        return lost
      }
      return Answer(202, headers: [location, ("Range", "0-\(max(0, bytes.count - 1))")])
    }
    state.uploads[id] = nil
    guard let digest = query["digest"].flatMap({ Digest($0) }), SHA256.digest(of: bytes) == digest else {
      return error(400, "the \(bytes.count) bytes received have another digest")
    }
    state.blobs[name, default: [:]][digest] = bytes
    return Answer(201)
  }

  private static func content(
    _ request: LoopbackServer.Request, _ name: String, kind: String, _ reference: String, _ state: inout State
  ) -> Answer {
    if request.method == "PUT" {
      guard let manifest = try? RegistryManifest(request.body, mediaType: request.headers["content-type"], what: name),
        manifest.blobs.allSatisfy({ state.blobs[name]?[$0.digest] != nil }),
        manifest.manifests.allSatisfy({ state.manifests[name]?["\($0.digest)"] != nil })
      else { return error(404, "the manifest needs what is not there") }
      let stored = Manifest(type: manifest.mediaType, bytes: request.body)
      for key in [reference, "\(manifest.digest)"] { state.manifests[name, default: [:]][key] = stored }
      return Answer(201)
    }
    if kind == "manifests" {
      guard let manifest = state.manifests[name]?[reference] else { return error(404, "there is no \(reference)") }
      return Answer(headers: [("Content-Type", manifest.type)], body: manifest.bytes)
    }
    guard let digest = Digest(reference), let bytes = state.blobs[name]?[digest] else {
      return error(404, "there is no \(reference)")
    }
    return Answer.file(bytes, for: request)
  }
}

extension RegistryClient {
  /// Of a server of this machine, which never pauses.
  convenience init(_ server: LoopbackServer, permission: RegistryServer.Permission = .token("secret")) {
    self.init(RegistryServer(base: server.origin, permission: permission)) { _ in }
  }
}
