import WherryJSON
import WherryModel
import WherryOCI
import WherrySystem
import WherryTransfer

struct DownloadJob {
  struct Item {
    let digest: Digest
    let size: Int64
    let url: String
    let label: String
    /// From the inventory service: its authority is trusted and the device shows its certificate. Never both elsewhere.
    let isFromService: Bool
    /// Other addresses of the same bytes.
    let mirrors: [String]
  }

  let store: String
  let items: [Item]
  let device: HTTPClientConfiguration
  let elsewhere: HTTPClientConfiguration
  let registries: RegistryAccess
  let policy: DownloadPolicy
  let identity: WorkerIdentity?
  /// Bytes that stay free on the disk; nil = the worker's own idea of it.
  let headroom: Int64?

  private static let itemsMaximum = 10_000

  init(_ cursor: JSONCursor) throws(JSONShapeError) {
    store = try cursor.require("store").string()
    var policy = DownloadPolicy()
    policy.parallel = try Self.bounded(cursor, "parallel", 1...16) ?? policy.parallel
    policy.attemptsMaximum = try Self.bounded(cursor, "attempts", 1...1_000) ?? policy.attemptsMaximum
    policy.backoffMilliseconds =
      try Self.bounded(cursor, "backoffMilliseconds", 1...600_000).map(Int64.init) ?? policy.backoffMilliseconds
    policy.bytesPerSecondMaximum = try Self.bounded(cursor, "bytesPerSecond", 1...Int.max).map(Int64.init)
    self.policy = policy
    headroom = try Job.bytes(cursor, "headroom")

    var plain = HTTPClientConfiguration()
    plain.userAgent = "wherry-fetch"
    plain.stallSeconds = try Self.bounded(cursor, "stallSeconds", 1...3_600) ?? plain.stallSeconds
    var elsewhere = plain
    var service: String?
    if let device = try cursor.optional("device") {
      let url = try device.require("url").string()
      service = url.hasSuffix("/") ? String(url.dropLast()) : url
      plain.caPEM = try device.optional("caPEM")?.string()
      plain.clientCertificatePEM = try device.optional("certificatePEM")?.string()
      plain.clientKeyPEM = try device.optional("keyPEM")?.string()
    }
    device = plain

    let list = try cursor.require("items")
    let entries = try list.array()
    guard entries.count <= Self.itemsMaximum else { throw list.fail("has more than \(Self.itemsMaximum) items") }
    let registries = try DownloadRegistries.read(cursor.optional("registries"))
    var items: [Item] = []
    for entry in entries { items.append(try Self.item(entry, service: service, registries)) }
    // What the plan or the operator wrote with http:// may also be redirected to there.
    for url in items.flatMap({ $0.isFromService ? [] : [$0.url] + $0.mirrors }) where url.hasPrefix("http://") {
      if let host = RegistryHost(url: url) { elsewhere.insecureHosts.insert(host.authority) }
    }
    self.items = items
    self.registries = registries
    self.elsewhere = elsewhere
    identity = if let user = try cursor.optional("user") { try WorkerIdentity(user) } else { nil }
  }

  private static func bounded(
    _ cursor: JSONCursor, _ key: String, _ range: ClosedRange<Int>
  ) throws(JSONShapeError) -> Int? {
    guard let value = try cursor.optional(key) else { return nil }
    guard let number = Int(exactly: try value.integer()), range.contains(number) else {
      throw value.fail("must be from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  private static func item(
    _ cursor: JSONCursor, service: String?, _ registries: RegistryAccess
  ) throws(JSONShapeError) -> Item {
    let digest = try Job.digest(cursor.require("digest"))
    let sizeCursor = try cursor.require("size")
    let size = try sizeCursor.integer()
    guard size >= 0 else { throw sizeCursor.fail("a size cannot be negative") }
    let label = try cursor.optional("label")?.string() ?? digest.description
    if let url = try cursor.optional("url")?.string() {
      return Item(
        digest: digest, size: size, url: url, label: label, isFromService: false,
        mirrors: DownloadRegistries.mirrors(of: url, registries))
    }
    guard let service else { throw cursor.fail("has no \"url\", and the job names no \"device\"") }
    return Item(
      digest: digest, size: size, url: "\(service)/v1/blobs/\(digest)", label: label, isFromService: true, mirrors: [])
  }
}
