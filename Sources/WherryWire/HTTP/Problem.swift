import WherryJSON
import WherryModel

/// An error answer (RFC 9457) with the remedy that Wherry always gives.
package struct Problem: Error, Hashable, Sendable, WireValue {
  package var type: String
  package var title: String
  package var status: Int
  package var detail: String
  package var remedy: String
  /// Where there are several: one sentence each.
  package var errors: [String]

  package init(
    type: String = "about:blank", title: String, status: Int, detail: String, remedy: String = "", errors: [String] = []
  ) {
    self.type = type
    self.title = title
    self.status = status
    self.detail = detail
    self.remedy = remedy
    self.errors = errors
  }

  package var json: JSON {
    .members([
      ("type", .string(type)), ("title", .string(title)), ("status", .int(status)), ("detail", .string(detail)),
      ("remedy", remedy.nonEmpty.map(JSON.string)), ("errors", errors.nonEmpty.map(JSON.strings)),
    ])
  }

  package init(_ cursor: JSONCursor) throws(JSONShapeError) {
    type = try cursor.optional("type")?.string() ?? "about:blank"
    title = try cursor.require("title").string()
    status = try cursor.require("status").int()
    detail = try cursor.optional("detail")?.string() ?? ""
    remedy = try cursor.optional("remedy")?.string() ?? ""
    errors = try cursor.optional("errors")?.strings() ?? []
  }
}
