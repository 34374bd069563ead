import WherryJSON
import WherryModel

/// What a device says of itself is stored and shown to people, so a hostile one gets no more room than an honest one
/// needs: text beyond these bounds (bytes of UTF-8) is cut off when it is read.
extension Failure: WireValue {
  package static let codeBytesMaximum = 128
  package static let messageBytesMaximum = 4_096
  package static let remedyBytesMaximum = 1_024
  package static let logLinesMaximum = 20
  package static let logLineBytesMaximum = 400

  package var json: JSON {
    .members([
      ("class", .string(failureClass.rawValue)), ("code", .string(code)), ("message", .string(message)),
      ("remedy", remedy.nonEmpty.map(JSON.string)), ("component", (component?.rawValue).map(JSON.string)),
      ("log", log.nonEmpty.map(JSON.strings)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    // The last lines are the ones that explain.
    let log = (try cursor.optional("log")?.strings() ?? []).suffix(Self.logLinesMaximum)
    self.init(
      try cursor.require("class").choice(),
      code: try cursor.require("code").string().clipped(toBytes: Self.codeBytesMaximum),
      message: try cursor.require("message").string().clipped(toBytes: Self.messageBytesMaximum),
      remedy: (try cursor.optional("remedy")?.string() ?? "").clipped(toBytes: Self.remedyBytesMaximum),
      component: try cursor.optional("component")?.name(),
      log: log.map { $0.clipped(toBytes: Self.logLineBytesMaximum) })
  }
}

extension ComponentReport: WireValue {
  package var json: JSON {
    .members([
      ("name", .string(name.rawValue)), ("version", .string(version.description)), ("state", .string(state.rawValue)),
      ("restarts", .int(restarts)), ("failure", failure?.json), ("local", isLocal ? true : nil),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      name: try cursor.require("name").name(), version: try cursor.require("version").version(),
      state: try cursor.require("state").choice(), restarts: try cursor.optional("restarts")?.count() ?? 0)
    if let value = try cursor.optional("failure") { failure = try Failure(value) }
    isLocal = try cursor.optional("local")?.bool() ?? false
  }
}

extension LocalReport: WireValue {
  package static let idBytesMaximum = 64

  package var json: JSON {
    .members([("id", .string(id)), ("status", .string(status.rawValue)), ("failure", failure?.json)])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      id: try cursor.require("id").string().clipped(toBytes: Self.idBytesMaximum),
      status: try cursor.require("status").choice())
    if let value = try cursor.optional("failure") { failure = try Failure(value) }
  }
}

extension Transfer: WireValue {
  package static let labelBytesMaximum = 256

  package var json: JSON {
    ["label": .string(label), "bytesDone": .integer(bytesDone), "bytesTotal": .integer(bytesTotal)]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    self.init(
      label: try cursor.require("label").string().clipped(toBytes: Self.labelBytesMaximum),
      bytesDone: try cursor.require("bytesDone").size(), bytesTotal: try cursor.require("bytesTotal").size())
  }

  static func list(_ cursor: JSONCursor?) throws(JSONShapeError) -> [Transfer] {
    let all = try cursor?.list { (element) throws(JSONShapeError) in try Transfer(element) } ?? []
    return Array(all.prefix(countMaximum))
  }
}

extension DeviceReport: WireValue {
  package var json: JSON {
    .members([
      ("v", 1), ("sequence", .integer(sequence)), ("generation", .integer(generation.rawValue)),
      ("status", (status?.rawValue).map(JSON.string)), ("plan", (plan?.description).map(JSON.string)),
      ("running", (running?.description).map(JSON.string)), ("failure", failure?.json),
      ("resumesAt", (resumesAt?.milliseconds).map(JSON.integer)),
      ("bytesDone", bytesDone == 0 ? nil : .integer(bytesDone)),
      ("bytesTotal", bytesTotal == 0 ? nil : .integer(bytesTotal)),
      ("transfers", transfers.nonEmpty.map { .array($0.map(\.json)) }), ("components", .array(components.map(\.json))),
      ("local", local?.json),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the report")
    self.init(
      sequence: try cursor.require("sequence").sequence(), generation: try cursor.require("generation").generation(),
      status: try cursor.optional("status")?.choice(),
      components: try cursor.require("components").list { (element) throws(JSONShapeError) in
        try ComponentReport(element)
      })
    plan = try cursor.optional("plan")?.digest()
    running = try cursor.optional("running")?.digest()
    if let value = try cursor.optional("failure") { failure = try Failure(value) }
    resumesAt = try cursor.optional("resumesAt")?.instant()
    bytesDone = try cursor.optional("bytesDone")?.size() ?? 0
    bytesTotal = try cursor.optional("bytesTotal")?.size() ?? 0
    transfers = try Transfer.list(cursor.optional("transfers"))
    if let value = try cursor.optional("local") { local = try LocalReport(value) }
  }
}

extension Presence: WireValue {
  /// Of the agent's version and of the boot id.
  package static let textBytesMaximum = 128

  package var json: JSON {
    ["isOnline": .bool(isOnline), "agentVersion": .string(agentVersion), "bootID": .string(bootID)]
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the presence")
    self.init(
      isOnline: try cursor.require("isOnline").bool(),
      agentVersion: (try cursor.optional("agentVersion")?.string() ?? "").clipped(toBytes: Self.textBytesMaximum),
      bootID: (try cursor.optional("bootID")?.string() ?? "").clipped(toBytes: Self.textBytesMaximum))
  }
}

extension Platform: WireValue {
  package var json: JSON { .map(attributes) }
  package init(_ cursor: JSONCursor) throws(JSONShapeError) { self.init(try cursor.stringMap()) }
}

/// The payload of `acked`: reports up to this sequence are committed by the service.
package struct Acknowledgement: Hashable, Sendable, WireValue {
  package var sequence: Int64
  package init(sequence: Int64) { self.sequence = sequence }
  package var json: JSON { ["sequence": .integer(sequence)] }
  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    try cursor.requireVersion("the acknowledgement")
    sequence = try cursor.require("sequence").sequence()
  }
}

extension String {
  /// Its beginning: at most so many bytes of UTF-8, and never a part of a character's encoding.
  func clipped(toBytes maximum: Int) -> String {
    guard utf8.count > maximum else { return self }
    let bytes = Array(utf8.prefix(maximum + 1))
    var count = maximum
    // 10xxxxxx goes on with the encoding that began before it (RFC 3629 §3).
    while count > 0, bytes[count] & 0xC0 == 0x80 { count -= 1 }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
