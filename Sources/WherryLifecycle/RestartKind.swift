/// What a `bootstrap` step may ask for when it is done.
package enum RestartKind: String, Hashable, Sendable, CaseIterable {
  /// Of this agent; components go on running.
  case agent
  /// Of the whole device.
  case machine
}
