import CCurl
import Glibc

/// One libcurl handle and the typed way to set its options. Single-threaded, as libcurl wants it.
final class EasyHandle {
  let raw: UnsafeMutableRawPointer
  private var headerList: UnsafeMutablePointer<curl_slist>?
  private let errorText: UnsafeMutablePointer<CChar>
  private static let errorTextBytes = 256  // CURL_ERROR_SIZE

  /// libcurl wants its global initialisation exactly once, before any other call.
  private static let globalState: CURLcode = {
    // With CURLOPT_NOSIGNAL, which threads need, libcurl leaves SIGPIPE to the program; TLS writes to a connection that
    // the other end has closed would then end the whole process.
    signal(SIGPIPE, SIG_IGN)
    return ccurl_global_init()
  }()

  init() {
    precondition(Self.globalState == CURLE_OK, "libcurl could not be initialised")
    guard let raw = curl_easy_init() else { preconditionFailure("libcurl is out of memory") }
    self.raw = raw
    errorText = .allocate(capacity: Self.errorTextBytes)
    errorText.initialize(repeating: 0, count: Self.errorTextBytes)
  }

  deinit {
    curl_easy_cleanup(raw)
    curl_slist_free_all(headerList)
    errorText.deallocate()
  }

  /// Forgets the options, keeps open connections.
  func reset() {
    curl_easy_reset(raw)
    curl_slist_free_all(headerList)
    headerList = nil
    errorText[0] = 0
    set(CURLOPT_ERRORBUFFER, pointer: errorText)
  }

  /// What libcurl has to say about the last failure.
  func explanation(of code: CURLcode) -> String {
    let detail = String(cString: errorText)
    return detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail
  }

  func set(_ option: CURLoption, _ value: Int) {
    let code = ccurl_set_long(raw, option, value)
    precondition(code == CURLE_OK, "libcurl refused option \(option.rawValue)")
  }

  func set(_ option: CURLoption, offset value: Int64) {
    let code = ccurl_set_offset(raw, option, curl_off_t(value))
    precondition(code == CURLE_OK, "libcurl refused option \(option.rawValue)")
  }

  /// - Returns: false when libcurl does not take the text.
  @discardableResult
  func set(_ option: CURLoption, _ value: String?) -> Bool { ccurl_set_string(raw, option, value) == CURLE_OK }

  func set(_ option: CURLoption, pointer: UnsafeMutableRawPointer?) { _ = ccurl_set_pointer(raw, option, pointer) }

  func set(_ option: CURLoption, blob: String) -> Bool {
    var text = blob
    return text.withUTF8 { ccurl_set_blob(raw, option, $0.baseAddress, $0.count) } == CURLE_OK
  }

  func set(headers: [(String, String)]) {
    var list: UnsafeMutablePointer<curl_slist>?
    for (name, value) in headers {
      // "Name;" is libcurl's way to send a header without a value; "Name:" would remove it.
      guard let longer = curl_slist_append(list, value.isEmpty ? "\(name);" : "\(name): \(value)") else { continue }
      list = longer
    }
    // Without this libcurl waits a second for "100 Continue" before each larger upload.
    if let longer = curl_slist_append(list, "Expect:") { list = longer }
    curl_slist_free_all(headerList)
    headerList = list
    _ = ccurl_set_list(raw, CURLOPT_HTTPHEADER, list)
  }

  var status: Int {
    var value = 0
    return ccurl_get_long(raw, CURLINFO_RESPONSE_CODE, &value) == CURLE_OK ? value : 0
  }

  /// Where the answer redirects to, made absolute.
  var redirectURL: String? {
    var text: UnsafePointer<CChar>?
    guard ccurl_get_string(raw, CURLINFO_REDIRECT_URL, &text) == CURLE_OK, let text else { return nil }
    return String(cString: text)
  }
}
