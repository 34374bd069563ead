import WherryModel
import WherryOCI
import WherryTransfer

/// Meets what registries ask for before they give a blob, with what the job says about them.
final class DownloadAuthorization {
  private let authorization: RegistryAuthorization
  /// The service knows the device by its certificate; nothing else is shown to it, whatever it asks for.
  private let ownItems: Set<Digest>
  /// What was sent last, by the address that it was sent to.
  private var sent: [String: String] = [:]

  init(_ job: DownloadJob) {
    authorization = RegistryAuthorization(
      http: BlockingHTTP(client: HTTPClient(configuration: job.elsewhere)), access: job.registries)
    ownItems = Set(job.items.filter(\.isFromService).map(\.digest))
  }

  /// - Parameter item: with the address that answered.
  func headers(
    for item: DownloadItem, answering answer: HTTPResponse
  ) throws(TransferError) -> [(String, String)]? {
    guard !ownItems.contains(item.digest), let challenge = answer.headers["www-authenticate"],
      let registry = RegistryEndpoint(url: item.url)
    else { return nil }
    do throws(Failure) {
      let value = try authorization.authorization(answering: challenge, from: registry, refused: sent[item.url])
      sent[item.url] = value
      return value.map { [("Authorization", $0)] }
    } catch {
      throw TransferError(
        TransferError.Code(rawValue: error.code) ?? .unauthorized, "\(error.message) (\(item.label))",
        remedy: error.remedy)
    }
  }
}

/// Token servers' answers are short and waited for.
private struct BlockingHTTP: HTTPGetting {
  let client: HTTPClient

  func get(_ url: String, headers: [(String, String)], bodyBytesMaximum: Int) throws(Failure) -> HTTPAnswer {
    do throws(TransferError) {
      let answer = try client.send(HTTPRequest(url: url, headers: headers), maximumBodyBytes: bodyBytesMaximum)
      return HTTPAnswer(
        status: answer.status, headers: answer.headers, body: answer.body, isFromElsewhere: answer.isFromElsewhere)
    } catch { throw error.failure }
  }
}
