/// How often what happened: a simulation in which nothing goes wrong proves nothing.
package struct SimulationStatistics: Hashable, Sendable {
  package internal(set) var events = 0
  package internal(set) var commits = 0
  package internal(set) var rollbacks = 0
  package internal(set) var halts = 0
  /// Devices that were given back what they had.
  package internal(set) var reverts = 0

  package internal(set) var agentStarts = 0
  package internal(set) var agentCrashes = 0
  package internal(set) var powerCuts = 0
  /// Of the service and of the broker after they were killed.
  package internal(set) var serviceStarts = 0
  package internal(set) var brokerStarts = 0

  /// Copies of reports, orders and acknowledgements that were sent and did not arrive.
  package internal(set) var messagesLost = 0
  /// Those that arrived although a copy had arrived before.
  package internal(set) var messagesDoubled = 0
  /// Those that arrived after one that was sent later.
  package internal(set) var messagesOvertaken = 0
  /// Retained orders that the broker lost before the device had taken them.
  package internal(set) var ordersLost = 0
  /// Orders that the service sent again because it had heard nothing of them.
  package internal(set) var ordersRepeated = 0

  /// Milliseconds from the beginning.
  package internal(set) var endedAt: Int64 = 0

  /// Of both together; `endedAt` is the later one.
  package static func += (sum: inout Self, other: Self) {
    sum.events += other.events
    sum.commits += other.commits
    sum.rollbacks += other.rollbacks
    sum.halts += other.halts
    sum.reverts += other.reverts
    sum.agentStarts += other.agentStarts
    sum.agentCrashes += other.agentCrashes
    sum.powerCuts += other.powerCuts
    sum.serviceStarts += other.serviceStarts
    sum.brokerStarts += other.brokerStarts
    sum.messagesLost += other.messagesLost
    sum.messagesDoubled += other.messagesDoubled
    sum.messagesOvertaken += other.messagesOvertaken
    sum.ordersLost += other.ordersLost
    sum.ordersRepeated += other.ordersRepeated
    sum.endedAt = max(sum.endedAt, other.endedAt)
  }
}
