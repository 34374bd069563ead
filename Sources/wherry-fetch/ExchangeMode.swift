import WherryJSON
import WherryModel
import WherryOCI
import WherrySystem
import WherryTransfer

/// `wherry-fetch exchange`: one small HTTP request, so that the agent needs no HTTP of its own.
struct ExchangeMode {
  private let configuration: HTTPClientConfiguration
  private let request: HTTPRequest

  private static let bodyBytesMaximum = 1 << 20

  init(job cursor: JSONCursor) throws(Failure) {
    (configuration, request) = try Job.worker.decode { () throws(JSONShapeError) in
      var configuration = HTTPClientConfiguration()
      configuration.userAgent = "wherry-agent"
      configuration.caPEM = try cursor.optional("caPEM")?.string()
      configuration.clientCertificatePEM = try cursor.optional("clientCertificatePEM")?.string()
      configuration.clientKeyPEM = try cursor.optional("clientKeyPEM")?.string()
      var request = HTTPRequest(
        method: try cursor.optional("method")?.string() ?? "GET", url: try cursor.require("url").string())
      for (name, value) in try cursor.optional("headers")?.object() ?? [:] {
        request.headers.append((name, try value.string()))
      }
      if let body = try cursor.optional("body") {
        request.body = body.json.stringValue.map { Array($0.utf8) } ?? body.json.canonicalBytes
      }
      return (configuration, request)
    }
  }

  func run() throws(Failure) {
    Confinement.endWithParent()
    Confinement.forbidNewPrivileges()
    do throws(TransferError) {
      let response = try HTTPClient(configuration: configuration).send(
        request, maximumBodyBytes: Self.bodyBytesMaximum)
      WorkerOutput.event([
        "status": .integer(Int64(response.status)), "headers": .object(response.headers.mapValues(JSON.string)),
        "body": .string(String(decoding: response.body, as: UTF8.self)),
      ])
    } catch { throw error.failure }
  }
}
