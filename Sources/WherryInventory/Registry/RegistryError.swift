import HTTPTypes
import Hummingbird
import WherryJSON
import WherryModel

/// A refusal in the form of the OCI distribution specification ("Error Codes"), which is what registry clients read.
/// Nothing was changed.
struct RegistryError: Error, Sendable, CustomStringConvertible {
  enum Code: String, Hashable, Sendable {
    case blobUnknown = "BLOB_UNKNOWN"
    case blobUploadInvalid = "BLOB_UPLOAD_INVALID"
    case blobUploadUnknown = "BLOB_UPLOAD_UNKNOWN"
    case digestInvalid = "DIGEST_INVALID"
    case manifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
    case manifestInvalid = "MANIFEST_INVALID"
    case manifestUnknown = "MANIFEST_UNKNOWN"
    case nameInvalid = "NAME_INVALID"
    case nameUnknown = "NAME_UNKNOWN"
    case sizeInvalid = "SIZE_INVALID"
    case unauthorized = "UNAUTHORIZED"
    case denied = "DENIED"
    case unsupported = "UNSUPPORTED"
    case tooManyRequests = "TOOMANYREQUESTS"
    /// Of the service's own faults: the specification names codes for 4xx answers only.
    case unknown = "UNKNOWN"
  }

  struct Entry: Hashable, Sendable {
    var code: Code
    /// One sentence: what, where and the remedy.
    var message: String
    /// For programs; null when there is nothing to add.
    var detail: JSON = .null
  }

  var status: HTTPResponse.Status
  var entries: [Entry]
  var headers: HTTPFields

  init(_ status: HTTPResponse.Status, _ entries: [Entry], headers: HTTPFields = [:]) {
    self.status = status
    self.entries = entries
    self.headers = headers
  }

  init(
    _ status: HTTPResponse.Status, _ code: Code, _ message: String, remedy: String, detail: JSON = .null,
    headers: HTTPFields = [:]
  ) {
    self.init(status, [Entry(code: code, message: "\(message); \(remedy)", detail: detail)], headers: headers)
  }

  var description: String { entries.map(\.message).joined(separator: "; ") }

  var response: Response {
    let errors = entries.map { entry -> JSON in
      var error: JSON = ["code": .string(entry.code.rawValue), "message": .string(entry.message)]
      if entry.detail != .null { error["detail"] = entry.detail }
      return error
    }
    var response = Response.json(["errors": .array(errors)], status)
    for field in headers { response.headers[field.name] = field.value }
    return response
  }
}

// MARK: - What is refused in more than one place

extension RegistryError {
  static func unauthorized() -> RegistryError {
    RegistryError(
      .unauthorized, .unauthorized, "the registry needs an operator's token",
      remedy: "log in with any user name and a token of `wherry login` as the password",
      headers: [.wwwAuthenticate: "Basic realm=\"wherry\""])
  }

  static func noManifest(_ reference: RegistryReference, in repository: String) -> RegistryError {
    RegistryError(
      .notFound, .manifestUnknown, "there is no manifest \(reference) in the repository \(repository)",
      remedy: "push it, or choose one that the repository's tags name", detail: .string("\(reference)"))
  }

  static func noBlob(_ digest: Digest, in repository: String) -> RegistryError {
    RegistryError(
      .notFound, .blobUnknown, "there is no blob \(digest) in the repository \(repository)",
      remedy: "push it, or mount it from a repository that has it", detail: .string("\(digest)"))
  }

  static func noRepository(_ repository: String) -> RegistryError {
    RegistryError(
      .notFound, .nameUnknown, "there is no repository \(repository)",
      remedy: "push something to it, or choose one that /v2/_catalog names", detail: .string(repository))
  }

  static func noUpload(_ id: String) -> RegistryError {
    RegistryError(
      .notFound, .blobUploadUnknown, "there is no upload \(id)",
      remedy: "begin a new one: an upload ends with its digest, when it is cancelled, after an hour without a request "
        + "and when the service restarts", detail: .string(id))
  }

  static func method(_ method: HTTPRequest.Method, on path: String, allowed: String) -> RegistryError {
    RegistryError(
      .methodNotAllowed, .unsupported, "\(path) does not take \(method.rawValue)", remedy: "use \(allowed)",
      headers: [.allow: allowed])
  }

  /// What something else than the registry threw.
  init(_ error: any Error, during request: Request) {
    let place = "\(request.method) \(request.uri.path)"
    switch error {
    case let error as RegistryError: self = error
    case let refusal as Refusal where refusal.status == 416:
      self.init(.rangeNotSatisfiable, .sizeInvalid, refusal.detail, remedy: refusal.remedy)
    case let refusal as Refusal where refusal.status == 404:
      self.init(.notFound, .blobUnknown, refusal.detail, remedy: refusal.remedy)
    case let failure as Failure where failure.failureClass == .space:
      self.init(Self.insufficientStorage, .unknown, "\(place): \(failure.message)", remedy: failure.remedy)
    default:
      self.init(
        .internalServerError, .unknown, "\(place) failed: \(error)", remedy: "see the service's log and try again")
    }
  }

  /// RFC 4918 §11.5.
  static let insufficientStorage = HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage")
}
