import Testing
import WherryDocker
import WherryModel

@Suite("DockerContainer")
struct DockerContainerTests {
  private let start = Instant(milliseconds: 1_000)
  private func at(_ milliseconds: Int64) -> Instant { start.advanced(byMilliseconds: milliseconds) }

  private func container(_ change: (inout DockerRun) -> Void = { _ in }) -> DockerContainer {
    var run = DockerRun(image: "x")
    change(&run)
    return DockerContainer(run, stopSignal: nil, at: start)
  }

  @Test("it ends, stays to be read, and is removed when asked")
  func end() {
    var one = container()
    #expect(one.ended(3, at: at(1)) == [.letGo])
    #expect(one.phase == .ended && one.exitCode == 3)
    #expect(one.ended(0, at: at(2)) == [], "late news says nothing")
    #expect(one.remove() == [.remove] && one.phase == .removed)
    var removed = container { $0.isRemovedAtEnd = true }
    #expect(removed.ended(0, at: at(1)) == [.remove])
  }

  @Test("a stop has its time, then it is killed, again and again")
  func stop() {
    var one = container { $0.stopSignal = "INT" }
    #expect(one.stop(graceSeconds: 2, at: at(0)) == [.signal("INT")])
    #expect(one.tick(at: at(1_999)) == [])
    #expect(one.tick(at: at(2_000)) == [.kill] && one.nextDeadline == at(12_000))
    #expect(one.ended(137, at: at(2_100)) == [.letGo] && one.nextDeadline == nil)
  }

  @Test("restarts come after longer and longer rests, as often as asked")
  func restarts() {
    var one = container { $0.restart = .onFailure(maximum: 2) }
    #expect(one.ended(1, at: at(10)) == [.letGo] && one.phase == .resting(until: at(110)))
    #expect(one.tick(at: at(110)) == [.launch])
    one.launched(at: at(110))
    #expect(one.ended(1, at: at(120)) == [.letGo] && one.phase == .resting(until: at(320)))
    one.launched(at: at(320))
    #expect(one.ended(1, at: at(330)) == [.letGo] && one.phase == .ended, "twice was enough")
    var always = container { $0.restart = .always }
    #expect(always.ended(0, at: at(10)) == [.letGo] && !always.isAlive)
    #expect(always.stop(at: at(20)) == [] && always.phase == .ended, "a stop while it rests")
    var stopped = container { $0.restart = .always }
    _ = stopped.stop(at: at(1))
    #expect(stopped.ended(143, at: at(2)) == [.letGo] && stopped.phase == .ended, "who was stopped stays so")
  }

  @Test("signals and kills")
  func signals() {
    var one = container { $0.restart = .always }
    #expect(one.kill("HUP") == [.signal("HUP")] && !one.isStopWanted)
    #expect(one.kill("SIGKILL") == [.kill] && one.isStopWanted)
    #expect(one.remove() == [.kill] && one.ended(137, at: at(5)) == [.remove])
    #expect(one.kill("TERM") == [])
  }

  @Test("with its component it goes, asked once")
  func leaving() {
    var one = container { $0.restart = .always }
    #expect(one.leave(at: at(0)) == [.signal(nil)] && one.leave(at: at(1)) == [])
    #expect(one.ended(0, at: at(2)) == [.remove] && one.phase == .removed)
    var ended = container()
    _ = ended.ended(0, at: at(1))
    #expect(ended.leave(at: at(2)) == [.remove])
  }

  @Test("tables and times read as Docker's")
  func text() {
    #expect(DockerText.table([["ID", "NAME"], ["abcdef", "web"]]) == ["ID       NAME", "abcdef   web"])
    #expect(DockerText.duration(milliseconds: 61_000) == "1 minute")
    #expect(DockerText.duration(milliseconds: 5_900) == "5 seconds")
  }
}
