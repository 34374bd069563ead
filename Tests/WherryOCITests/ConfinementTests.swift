import Glibc
import Testing
import WherryTestSupport

@testable import WherryOCI

/// What the process that reads archives may still ask of the kernel. The filter is the calling thread's own, so a
/// thread that ends with the test can have it.
@Suite struct ConfinementTests {
  private final class ConfinedThread {
    private typealias ThreadKill = @convention(c) (pid_t, pid_t, Int32) -> Int32

    private let victim: pid_t
    private let file: Int32
    private let threadKill: ThreadKill

    private(set) var hasFilter = false
    private(set) var ownSignal: Int32 = -1
    private(set) var threadKilled: Int32 = 0
    private(set) var killed: Int32 = 0
    private(set) var ownerSet: Int32 = 0
    private(set) var signalSet: Int32 = 0
    private(set) var flags: Int32 = -1

    /// nil without tgkill, which Swift's Glibc hides.
    init?(victim: pid_t, file: Int32) {
      guard let symbol = dlsym(nil, "tgkill") else { return nil }
      threadKill = unsafeBitCast(symbol, to: ThreadKill.self)
      self.victim = victim
      self.file = file
    }

    func run() {
      var thread = pthread_t()
      let context = Unmanaged.passUnretained(self).toOpaque()
      let code = pthread_create(
        &thread, nil,
        { context in
          guard let context else { return nil }
          Unmanaged<ConfinedThread>.fromOpaque(context).takeUnretainedValue().look()
          return nil
        }, context)
      if code == 0 { pthread_join(thread, nil) }
    }

    private func look() {
      // Of <fcntl.h>; signal 0 is only asked about, and 9 would come when the file can be read.
      let (setOwner, setSignal): (Int32, Int32) = (8, 10)
      hasFilter = Confinement.filterSystemCalls()
      ownSignal = pthread_kill(pthread_self(), 0)
      threadKilled = threadKill(victim, victim, 0)
      killed = kill(victim, 0)
      ownerSet = fcntl(file, setOwner, victim)
      signalSet = fcntl(file, setSignal, SIGKILL)
      flags = fcntl(file, F_GETFL)
    }
  }

  @Test func itCanSignalNobodyButItself() throws {
    #if arch(x86_64) || arch(arm64)
      let program = try #require(ChildProcess.find("tail"))
      let victim = try #require(ChildProcess(program, ["-f", "/dev/null"]))
      let file = open("/dev/null", O_RDWR | O_CLOEXEC)
      defer { close(file) }
      #expect(kill(victim.processID, 0) == 0, "without the filter this process may")
      let thread = try #require(ConfinedThread(victim: victim.processID, file: file))
      thread.run()
      #expect(thread.hasFilter)
      #expect(thread.ownSignal == 0, "abort needs it")
      #expect(thread.threadKilled == -1)
      #expect(thread.killed == -1)
      #expect(thread.ownerSet == -1 && thread.signalSet == -1, "the kernel would send the signal for it")
      #expect(thread.flags >= 0)
    #else
      print("SKIPPED the system call filter: it knows x86_64 and arm64 only")
    #endif
  }
}
