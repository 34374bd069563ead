/// Ends processes without waiting for them: one in an uninterruptible call ends when the kernel lets it, and the agent
/// has one thread. The engine comes back to what is left, soon at first and then less often.
package protocol LeftoverKeeper: AnyObject {
  /// Whether something that was ended is still on its way out, or something alive could not be reached yet.
  var hasLeftovers: Bool { get }
  /// One look at all of it; never waits.
  func tidy()
}
