import WherryWire

/// Something that was asked for and is not done, as HTTP status and sentences. Nothing was changed.
package struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
  package var status: Int
  /// Stable, for programs: `component.conflict`.
  package var code: String
  /// One sentence: what and where.
  package var detail: String
  /// One sentence: how to mend it.
  package var remedy: String
  /// When one sentence is not enough: a resolution's chain, a recipe's problems.
  package var errors: [String]

  package init(_ status: Int, _ code: String, _ detail: String, remedy: String, errors: [String] = []) {
    self.status = status
    self.code = code
    self.detail = detail
    self.remedy = remedy
    self.errors = errors
  }

  package var description: String { remedy.isEmpty ? detail : "\(detail); \(remedy)" }
}

extension Refusal {
  static func notFound(_ what: String, remedy: String) -> Refusal {
    Refusal(404, "notFound", "there is no \(what)", remedy: remedy)
  }

  static func badRequest(_ detail: String, remedy: String = "mend the request as /openapi.json describes it") -> Refusal
  {
    Refusal(400, "request.malformed", detail, remedy: remedy)
  }
}
