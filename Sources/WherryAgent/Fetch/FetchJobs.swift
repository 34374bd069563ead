import WherryJSON
import WherryModel

/// The jobs that `wherry-fetch` reads.
struct FetchJobs {
  let identity: DeviceIdentity
  let paths: AgentPaths
  let account: UserAccount
  /// Over all transfers of one worker; nil = as fast as it goes.
  var bytesPerSecond: Int64?
  /// Stays free on the disk; nil = as the worker has it.
  var headroom: Int64?
  /// What the disk budget leaves: no archive may become larger. Nil = there is no budget.
  var bytesLeft: Int64?

  func download(_ items: [FetchWork.Download]) throws(Failure) -> JSON {
    var job: JSON = [
      "device": [
        "url": .string(identity.deviceURL), "caPEM": .string(try Files.text(identity.authorityFile)),
        "certificatePEM": .string(try Files.text(identity.certificateFile)),
        "keyPEM": .string(try Files.text(identity.keyFile)),
      ],
      "store": .string(paths.blobStore), "parallel": 3,
      "user": ["uid": .integer(Int64(account.user)), "gid": .integer(Int64(account.group))],
      "items": .array(Self.largestFirst(items, \.size).map(Self.item)),
    ]
    if let bytesPerSecond { job["bytesPerSecond"] = .integer(bytesPerSecond) }
    if let headroom { job["headroom"] = .integer(headroom) }
    return job
  }

  /// Where the link is slower than the disk, what comes last is unpacked soonest; where it is not, the long ones do not
  /// end up alone at the end.
  private static func largestFirst<Item>(_ items: [Item], _ size: (Item) -> Int64) -> [Item] {
    let order = items.enumerated().sorted { (size($0.element), $1.offset) > (size($1.element), $0.offset) }
    return order.map(\.element)
  }

  private static func item(_ download: FetchWork.Download) -> JSON {
    var item: JSON = [
      "digest": .string(download.digest.description), "size": .integer(download.size),
      "kind": download.isLayer ? "layer" : "artifact", "label": .string(download.label),
    ]
    if let url = download.url { item["url"] = .string(url) } else { item["source"] = "wherry:" }
    return item
  }

  /// It begins with each blob as soon as that is there. Nil = there is nothing to unpack.
  func unpack(_ work: FetchWork) -> JSON? {
    var items = Self.largestFirst(work.layers, \.layer.size).map { layer -> JSON in
      [
        "blob": .string(paths.blob(layer.layer.digest)), "kind": "layer", "label": .string(layer.label),
        "destination": .string(paths.snapshot(layer.layer.diffID)),
        "compression": .string(layer.layer.compression.rawValue), "diffID": .string(layer.layer.diffID.description),
      ]
    }
    for component in work.artifactOwners {
      let parent = paths.artifacts(component) + Self.partialEnding + "/unpacked/"
      for artifact in component.artifacts where artifact.unarchive != .none {
        items.append([
          "blob": .string(paths.blob(artifact.digest)), "kind": .string(artifact.unarchive.rawValue.lowercased()),
          "destination": .string(parent + UnpackedName.of(artifact.fileName)),
          // The blob store belongs to the download user, so the unpacker holds the bytes against these once more.
          "digest": .string(artifact.digest.description), "size": .integer(artifact.size),
          "label": .string("\(component.name) \(artifact.fileName)"),
        ])
      }
    }
    guard !items.isEmpty else { return nil }
    for index in items.indices {
      if let headroom { items[index]["headroom"] = .integer(headroom) }
      if let bytesLeft { items[index]["bytesMaximum"] = .integer(bytesLeft) }
    }
    let job: JSON = ["items": .array(items), "parallel": 2, "waits": .bool(!work.downloads.isEmpty)]
    return job
  }

  /// What is not whole yet has this after its name, here and in `wherry-fetch`.
  static let partialEnding = UnpackedName.partialEnding
}

/// One run of a worker, and what it said.
final class WorkerSession {
  enum Outcome {
    case progress(done: Int64, total: Int64, [Transfer])
    /// One of its items is done: a blob by its digest, or a directory by its path.
    case item(String)
    case finished
    case failed(Failure)
  }

  private let run: any WorkerRun
  private var failure: Failure?
  /// Beyond it a report would not be read by the service, which takes exact numbers only.
  private static let bytesMaximum: Int64 = 1 << 53

  init(_ run: any WorkerRun) { self.run = run }

  var descriptor: Int32 { run.descriptor }
  var nextDeadline: Instant? { run.nextDeadline }
  func cancel() { run.cancel() }

  /// Hostile bytes may have made the worker say them: what is not of the right form is left out.
  private static func transfers(_ list: JSON?) -> [Transfer] {
    (list?.arrayValue ?? []).prefix(Transfer.countMaximum).compactMap { entry in
      guard let label = entry["label"]?.stringValue, let done = entry["done"]?.integerValue,
        let total = entry["total"]?.integerValue, done >= 0, done <= total, total <= bytesMaximum
      else { return nil }
      return Transfer(label: label, bytesDone: done, bytesTotal: total)
    }
  }

  func advance(now: Instant) -> [Outcome] {
    var outcomes: [Outcome] = []
    for event in run.readEvents(now: now) {
      switch event {
      case .line(let json):
        if let progress = json["progress"], let done = progress["done"]?.integerValue,
          let total = progress["total"]?.integerValue, done >= 0, done <= total, total <= Self.bytesMaximum
        {
          outcomes.append(.progress(done: done, total: total, Self.transfers(progress["active"])))
        } else if let item = json["finished"]?.stringValue {
          outcomes.append(.item(item))
        } else if let value = json["failed"], failure == nil {
          failure =
            (try? Failure(JSONCursor(value)))
            ?? Failure(
              .internalError, code: "worker.failed", message: "the download worker failed without a reason",
              remedy: "deploy again; if it happens again, see the agent's log")
        }
      case .ended(let isSuccess, let detail):
        if isSuccess && failure == nil {
          outcomes.append(.finished)
        } else {
          outcomes.append(
            .failed(
              failure
                ?? Failure(
                  .internalError, code: "worker.failed", message: "wherry-fetch did not do its work: \(detail)",
                  remedy: "see the agent's log")))
        }
      }
    }
    return outcomes
  }
}
