import Hummingbird
import Testing
import WherryCrypto
import WherryModel

@testable import WherryInventory

@Suite struct BlobRouteTests {
  private let plan = "{\"components\":[]}"

  private func answer(_ method: HTTPRequest.Method, range: String? = nil) async throws -> Response {
    let fleet = try await EngineFixture()
    let routes = BlobRoutes(store: fleet.blobs) { [plan] _ in plan }
    var head = HTTPRequest(method: method, scheme: "https", authority: "localhost", path: "/v1/blobs/x")
    if let range { head.headerFields[.range] = range }
    return try await routes.servePlan(
      Request(head: head, body: RequestBody(buffer: ByteBuffer())), SHA256.digest(of: plan))
  }

  /// A body after the answer to HEAD would be read as the next answer on the connection.
  @Test func headOfAPlanSaysItsSizeAndSendsNothing() async throws {
    let response = try await answer(.head)
    #expect(response.status == .ok)
    #expect(response.headers[.contentLength] == "17")
    #expect(response.headers[.eTag] == "\"\(SHA256.digest(of: plan))\"")
    #expect(response.body.contentLength == 0)
    #expect(try await answer(.head, range: "bytes=2-").headers[.contentLength] == "17")
  }

  @Test func getOfAPlanSendsItWholeOrInPart() async throws {
    let whole = try await answer(.get)
    #expect(whole.headers[.contentLength] == "17")
    #expect(whole.body.contentLength == 17)
    let part = try await answer(.get, range: "bytes=2-5")
    #expect(part.status == .partialContent)
    #expect(part.body.contentLength == 4)
    #expect(part.headers[.contentRange] == "bytes 2-5/17")
  }
}
