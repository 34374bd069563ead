import Glibc

/// The kernel refused a request.
struct NetlinkError: Error {
  /// What was asked: "create the bridge wh-1".
  let purpose: String
  let number: Int32

  var sentence: String { "the kernel refused to \(purpose): \(String(cString: strerror(number)))" }
}

/// A conversation with one part of the kernel, in the network namespace where the socket was opened.
final class NetlinkSocket {
  enum Part: Int32 {
    case route = 0
    case netfilter = 12
  }

  private static let familyNetlink: Int32 = 16
  private static let messageError: UInt16 = 2
  private static let messageDone: UInt16 = 3
  private static let answerBytesMaximum = 1 << 16

  private let descriptor: Int32
  private var sequence: UInt32 = 0

  init(_ part: Part) throws(NetlinkError) {
    let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    descriptor = socket(Self.familyNetlink, type, part.rawValue)
    guard descriptor >= 0 else { throw NetlinkError(purpose: "open a netlink socket", number: errno) }
    // The kernel answers at once; a limit keeps a mistake of ours from stopping the agent for good.
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// Sends the requests in one go and waits for every answer. The first refusal is thrown; the kernel has carried
  /// out what came before it. Numbers in `tolerated` count as success.
  func request(_ messages: [NetlinkMessage], tolerating tolerated: Set<Int32> = []) throws(NetlinkError) {
    let first = sequence &+ 1
    var bytes: [UInt8] = []
    for message in messages {
      sequence &+= 1
      bytes += message.numbered(sequence, wantsAcknowledgement: true)
    }
    try send(bytes, purpose: messages[0].purpose)
    var refusal: NetlinkError?
    var answered = 0
    while answered < messages.count {
      try receive(purpose: messages[answered].purpose) { (sequence, type, body) in
        let index = Int(sequence &- first)
        guard type == Self.messageError, messages.indices.contains(index) else { return true }
        answered += 1
        let number = -(body.integer(Int32.self, at: 0) ?? 0)
        if number != 0, !tolerated.contains(number), refusal == nil {
          refusal = NetlinkError(purpose: messages[index].purpose, number: number)
        }
        return true
      }
    }
    if let refusal { throw refusal }
  }

  /// All of the messages, or none (linux/netfilter/nfnetlink.h, batches). Numbers in `tolerated` count as success.
  func transaction(
    _ messages: [NetlinkMessage], begin: NetlinkMessage, end: NetlinkMessage, tolerating tolerated: Set<Int32> = []
  ) throws(NetlinkError) {
    sequence &+= 1
    let first = sequence &+ 1
    var bytes = begin.numbered(sequence, wantsAcknowledgement: false)
    for message in messages {
      sequence &+= 1
      bytes += message.numbered(sequence, wantsAcknowledgement: true)
    }
    sequence &+= 1
    bytes += end.numbered(sequence, wantsAcknowledgement: false)
    try send(bytes, purpose: messages[0].purpose)
    var refusal: NetlinkError?
    var answered = 0
    while answered < messages.count {
      try receive(purpose: messages[answered].purpose) { (sequence, type, body) in
        guard type == Self.messageError else { return true }
        let number = -(body.integer(Int32.self, at: 0) ?? 0)
        let index = Int(sequence &- first)
        guard messages.indices.contains(index) else {
          // The batch as a whole: nothing else will be answered.
          if number != 0, refusal == nil { refusal = NetlinkError(purpose: messages[0].purpose, number: number) }
          if number != 0 { answered = messages.count }
          return true
        }
        answered += 1
        if number != 0, !tolerated.contains(number), refusal == nil {
          refusal = NetlinkError(purpose: messages[index].purpose, number: number)
        }
        return true
      }
    }
    if let refusal { throw refusal }
  }

  /// What the kernel answers to a question: everything of a list, or the one answer to a question without that flag.
  func ask(_ message: NetlinkMessage) throws(NetlinkError) -> [ArraySlice<UInt8>] {
    sequence &+= 1
    try send(message.numbered(sequence, wantsAcknowledgement: false), purpose: message.purpose)
    var found: [ArraySlice<UInt8>] = []
    var refusal: NetlinkError?
    var isDone = false
    while !isDone {
      try receive(purpose: message.purpose) { (sequence, type, body) in
        switch type {
        case Self.messageDone: isDone = true
        case Self.messageError:
          isDone = true
          refusal = NetlinkError(purpose: message.purpose, number: -(body.integer(Int32.self, at: 0) ?? 0))
        default:
          found.append(body.content)
          isDone = !message.isDump
        }
        return !isDone
      }
    }
    if let refusal { throw refusal }
    return found
  }

  private func send(_ bytes: [UInt8], purpose: String) throws(NetlinkError) {
    while Glibc.send(descriptor, bytes, bytes.count, 0) < 0 {
      guard errno == EINTR else { throw NetlinkError(purpose: purpose, number: errno) }
    }
  }

  /// Reads one datagram and hands over the messages in it until the closure has enough.
  private func receive(
    purpose: String, _ each: (_ sequence: UInt32, _ type: UInt16, _ body: NetlinkReader) -> Bool
  ) throws(NetlinkError) {
    var buffer = [UInt8](repeating: 0, count: Self.answerBytesMaximum)
    var count = recv(descriptor, &buffer, buffer.count, 0)
    while count < 0, errno == EINTR { count = recv(descriptor, &buffer, buffer.count, 0) }
    guard count > 0 else { throw NetlinkError(purpose: purpose, number: count == 0 ? EIO : errno) }
    var rest = buffer[..<count]
    while rest.count >= 16 {
      let header = NetlinkReader(rest)
      guard let length = header.integer(UInt32.self, at: 0).map(Int.init), length >= 16, length <= rest.count,
        let type = header.integer(UInt16.self, at: 4), let sequence = header.integer(UInt32.self, at: 8)
      else { return }
      guard each(sequence, type, NetlinkReader(rest.dropFirst(16).prefix(length - 16))) else { return }
      rest = rest.dropFirst((length + 3) & ~3)
    }
  }
}
