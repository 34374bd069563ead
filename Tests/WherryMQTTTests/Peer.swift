import WherryTestSupport
import WherryWire

typealias Peer = DrivenTransport

extension DrivenTransport {
  static func drive(_ peers: DrivenTransport..., limitSeconds: Int = 120, until isMet: () -> Bool) -> Bool {
    drive(peers, limitSeconds: limitSeconds, until: isMet)
  }

  var connects: Int { connections.count }
  var disconnects: [String] {
    events.compactMap { if case .disconnected(let reason) = $0 { reason } else { nil } }
  }
  var refusals: [String] {
    events.compactMap { if case .refused(let reason) = $0 { reason } else { nil } }
  }
}
