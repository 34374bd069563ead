import WherryJSON
import WherryModel

/// A program that prints a registry's password, such as `aws ecr get-login-password`, or a credential as Docker's
/// credential helpers do. It gets the registry's name as one line on standard input, as those expect it. No shell has
/// a part in it.
package struct CredentialCommand: Hashable, Sendable {
  /// Goes with a bare password.
  package let user: String
  /// Program and arguments.
  package let words: [String]

  package static let outputBytesMaximum = 64 << 10
  package static let timeoutMilliseconds: Int64 = 30_000
  private static let wordsMaximum = 64

  package init(user: String, words: [String]) {
    precondition(!words.isEmpty, "a command without a program")
    self.user = user
    self.words = words
  }

  /// ECR knows its short-lived passwords under one name; others that have such passwords take any.
  static func usualUser(at host: RegistryHost) -> String {
    host.name.hasSuffix(".amazonaws.com") || host.name.hasSuffix(".amazonaws.com.cn") ? "AWS" : "token"
  }

  /// Words are separated by blanks; one that holds blanks stands in double quotes. nil for an open quote, too many
  /// words, or none.
  static func words(of text: String) -> [String]? {
    var words: [String] = []
    var word: String?
    var isQuoted = false
    for character in text {
      if character == "\"" {
        isQuoted.toggle()
        word = word ?? ""
      } else if !isQuoted, character == " " || character == "\t" {
        if let whole = word { words.append(whole) }
        word = nil
      } else {
        word = (word ?? "") + String(character)
      }
    }
    if let word { words.append(word) }
    let isUsable = (1...wordsMaximum).contains(words.count) && words.first?.isEmpty == false
    return isQuoted || !isUsable || text.utf8.contains(0) ? nil : words
  }

  /// What it printed, read as the credential of `host`.
  package func credential(in output: [UInt8], of host: RegistryHost) throws(Failure) -> RegistryCredential {
    guard output.count <= Self.outputBytesMaximum else {
      throw refusal(host, "it printed more than \(Self.outputBytesMaximum) bytes")
    }
    let text = String(decoding: output, as: UTF8.self)
    let isJSON = text.first { $0 != " " && !$0.isNewline && $0 != "\t" } == "{"
    guard let credential = try isJSON ? helperCredential(output, host) : password(text) else {
      throw refusal(host, "what it printed is neither one line with a password nor JSON")
    }
    return credential
  }

  private func password(_ text: String) -> RegistryCredential? {
    var line = text[...]
    while line.last?.isNewline == true { line.removeLast() }
    return RegistryCredential(user: user, secret: String(line))
  }

  /// `{"ServerURL": "…", "Username": "…", "Secret": "…"}` (github.com/docker/docker-credential-helpers).
  private func helperCredential(_ output: [UInt8], _ host: RegistryHost) throws(Failure) -> RegistryCredential? {
    guard let json = try? JSON(parsing: output), let user = json["Username"]?.stringValue,
      let secret = json["Secret"]?.stringValue
    else { throw refusal(host, "its JSON has no \"Username\" and \"Secret\"") }
    guard user != "<token>" else { throw refusal(host, "it gives an identity token, which is not supported") }
    return RegistryCredential(user: user, secret: secret)
  }

  private func refusal(_ host: RegistryHost, _ reason: String) -> Failure {
    Failure(
      .download, code: "registry.credential", message: "the credential command of \(host) is of no use: \(reason)",
      remedy: "run \(words[0]) by hand and see what it prints")
  }

  /// It did not get that far. What it needs itself may be away for the moment, so this is tried again.
  package func failure(_ host: RegistryHost, _ reason: String) -> Failure {
    Failure(
      .download, code: "download.unavailable", message: "the credential command of \(host) gave nothing: \(reason)",
      remedy: "run \(words[0]) by hand and see what it says")
  }
}
