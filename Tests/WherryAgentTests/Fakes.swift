import WherryAgent
import WherryIsolation
import WherryJSON
import WherryModel
import WherryWire

/// A clock that stands still until it is told to go on.
final class ManualClock: AgentClock {
  var now = Instant(milliseconds: 1_000_000)
  var wall = Instant(milliseconds: 1_800_000_000_000)

  func advance(milliseconds: Int64) {
    now = now.advanced(byMilliseconds: milliseconds)
    wall = wall.advanced(byMilliseconds: milliseconds)
  }
}

/// A broker's end in memory: keeps what was published, delivers what a test puts in.
final class FakeTransport: Transport {
  let pollDescriptor: Int32 = -1
  let wantsWrite = false
  let nextDeadline: Instant? = nil

  private(set) var published: [TransportMessage] = []
  private(set) var subscriptions: [String] = []
  private(set) var hasConnected = false
  private var events: [TransportEvent] = []
  private var token = 0

  func connect() { hasConnected = true }
  func disconnect() { hasConnected = false }
  func subscribe(_ filter: String, qos: Int) { subscriptions.append(filter) }

  func publish(_ topic: String, payload: [UInt8], qos: Int, retain: Bool, expirySeconds: UInt32?) -> Int {
    published.append(TransportMessage(topic: topic, payload: payload, isRetained: retain))
    token += 1
    return token
  }

  func pump(readable: Bool, writable: Bool, now: Instant) -> [TransportEvent] {
    defer { events = [] }
    return events
  }

  func deliver(_ event: TransportEvent) { events.append(event) }
  func deliver(_ payload: JSON, on topic: String) { deliver(payload.canonicalBytes, on: topic) }
  func deliver(_ payload: [UInt8], on topic: String) {
    deliver(.received(TransportMessage(topic: topic, payload: payload)))
  }
  func forget() { published = [] }
}

/// The kernel's side of workloads, in memory. It outlives engines, as shims outlive agents.
final class FakeRunner: Runner {
  var concessions: [String] = []
  let pressure = PressureWatch()
  var paused: Set<String> = []
  var statistics: [String: WorkloadStatistics] = [:]

  func statistics(_ id: String) -> WorkloadStatistics? { statistics[id] }
  func setPaused(_ id: String, _ isPaused: Bool) throws(Failure) {
    if isPaused { paused.insert(id) } else { paused.remove(id) }
  }
  func isPaused(_ id: String) -> Bool { paused.contains(id) }

  final class Workload: RunningWorkload {
    let descriptor: Int32 = -1
    let spec: WorkloadSpec
    let identity: String
    fileprivate(set) var events: [WorkloadEvent] = []
    fileprivate(set) var exit: WorkloadExit?
    /// Set when it never ran.
    fileprivate(set) var failure: WorkloadEvent?
    fileprivate(set) var signals: [Int32] = []
    /// Ends when it gets a TERM, as a good program does.
    var obeysTermination = true

    init(_ spec: WorkloadSpec, _ identity: String) {
      self.spec = spec
      self.identity = identity
    }

    var isAlive: Bool { exit == nil && failure == nil }

    func readEvents() -> [WorkloadEvent] {
      defer { events = [] }
      return events
    }

    func signal(_ number: Int32) {
      signals.append(number)
      if obeysTermination && isAlive { end(WorkloadExit(code: nil, signal: number)) }
    }

    func kill() {
      if isAlive { end(WorkloadExit(signal: 9)) }
    }

    func close() {}

    func end(_ exit: WorkloadExit) {
      self.exit = exit
      events.append(.exited(exit))
    }

    fileprivate func fail(_ sentence: String) {
      let event = WorkloadEvent.failedToStart(step: "execute it", errno: 2, sentence: sentence)
      failure = event
      events.append(event)
    }
  }

  /// What a step does when it starts: nil = it goes on running.
  var outcome: (WorkloadSpec) -> WorkloadExit? = { spec in
    spec.id.hasSuffix(".run") ? nil : WorkloadExit(code: 0)
  }
  var refusal: Failure?
  /// Why a workload's program cannot be executed; nil = it can.
  var startFailure: (WorkloadSpec) -> String? = { _ in nil }
  /// The agent dies here, in the midst of a launch and before there is anything that runs.
  var cutDuringLaunch: ((WorkloadSpec) -> Void)?
  /// What is let go of stays on its way out until a test takes it out of `leaving`.
  var lingers = false
  var leaving: Set<String> = []
  var addresses: [String: String] = [:]
  private(set) var workloads: [String: Workload] = [:]
  /// Ids in the order of their starts.
  private(set) var launches: [String] = []
  private(set) var specs: [WorkloadSpec] = []

  var alive: [String] { workloads.filter { $0.value.isAlive }.keys.sorted() }

  func launch(
    _ spec: WorkloadSpec, identity: String, streams: [Int32]?
  ) throws(Failure) -> any RunningWorkload {
    if let refusal { throw refusal }
    if workloads[spec.id] != nil {
      throw Failure(.start, code: "workload.running", message: "\(spec.id) is running already")
    }
    if leaving.contains(spec.id) {
      throw Failure(.start, code: "workload.leaving", message: "\(spec.id) is still ending")
    }
    if let cutDuringLaunch {
      cutDuringLaunch(spec)
      throw Failure(.internalError, code: "test.cut", message: "nobody is there any more to hear this")
    }
    let workload = Workload(spec, identity)
    workloads[spec.id] = workload
    launches.append(spec.id)
    specs.append(spec)
    if let sentence = startFailure(spec) {
      workload.fail(sentence)
      return workload
    }
    workload.events.append(.started(pid: Int32(1000 + launches.count)))
    if let exit = outcome(spec) { workload.end(exit) }
    return workload
  }

  func adoptAll() -> [AdoptedRun] {
    workloads.sorted { $0.key < $1.key }.map { id, workload in
      if workload.isAlive { workload.events = [.started(pid: 4242)] }
      return AdoptedRun(
        id: id, identity: workload.identity, startedAt: nil, link: workload.isAlive ? workload : nil,
        exit: workload.exit, failure: workload.failure)
    }
  }

  func letGo(_ id: String) {
    workloads[id] = nil
    if lingers { leaving.insert(id) }
  }

  func isLeaving(_ id: String) -> Bool { leaving.contains(id) }
  var hasLeftovers: Bool { !leaving.isEmpty }
  private(set) var looks = 0
  func tidy() { looks += 1 }

  func run(_ arguments: [String], inside id: String) throws(Failure) -> any RunningWorkload {
    guard let inside = workloads[id], inside.isAlive else {
      throw Failure(.start, code: "workload.notRunning", message: "\(id) is not running")
    }
    var spec = inside.spec
    spec.arguments = arguments
    let probe = Workload(spec, "")
    probe.end(outcome(spec) ?? WorkloadExit(code: 0))
    return probe
  }
  func address(of id: String) -> String? { addresses[id] }
  func tearDown() { workloads = [:] }
}

/// `wherry-fetch` in memory: what it is asked for is there, or not.
final class FakeWorker: Worker {
  final class Run: WorkerRun {
    let descriptor: Int32 = -1
    let nextDeadline: Instant? = nil
    var events: [WorkerEvent]
    private(set) var isCancelled = false

    init(_ events: [WorkerEvent]) { self.events = events }
    func readEvents(now: Instant) -> [WorkerEvent] {
      defer { events = [] }
      return events
    }
    func cancel() { isCancelled = true }
  }

  /// Content by digest text; everything else is answered with `failure`.
  var blobs: [String: [UInt8]] = [:]
  var failure = Failure(.download, code: "download.unreachable", message: "nothing answers")
  /// While false, jobs are begun and nothing comes of them.
  var isWorking = true
  private(set) var jobs: [(mode: WorkerMode, job: JSON)] = []
  private(set) var runs: [Run] = []
  /// Digests that were downloaded, in order.
  private(set) var downloaded: [String] = []

  let hasLeftovers = false
  func tidy() {}

  func start(_ mode: WorkerMode, job: JSON) throws(Failure) -> any WorkerRun {
    jobs.append((mode, job))
    let run = Run(isWorking ? events(mode, job) : [])
    runs.append(run)
    return run
  }

  private func events(_ mode: WorkerMode, _ job: JSON) -> [WorkerEvent] {
    let items = job["items"]?.arrayValue ?? []
    for item in items {
      switch mode {
      case .download:
        let digest = item["digest"]?.stringValue ?? ""
        guard let bytes = blobs[digest] else {
          return [.line(["failed": failure.json]), .ended(isSuccess: false, detail: "exit 1")]
        }
        TestFiles.write(bytes, to: (job["store"]?.stringValue ?? "") + "/sha256/" + digest.dropFirst(7))
        downloaded.append(digest)
      case .unpack: TestFiles.makeDirectories(item["destination"]?.stringValue ?? "")
      case .exchange, .convert: break
      }
    }
    return [.line(["progress": ["done": 1, "total": 1]]), .ended(isSuccess: true, detail: "exit 0")]
  }
}

/// A journal that gives out at a chosen write, as a power cut does: the write is lost, and nothing after it happens.
final class CuttingJournal: Journal {
  private let journal: any Journal
  /// Writes that still succeed.
  var writesLeft: Int
  private(set) var isCut = false
  private(set) var writes = 0
  var willSave: (JournalWrite) -> Void = { _ in }
  var didSave: () -> Void = {}

  init(_ journal: any Journal, writesLeft: Int = .max) {
    self.journal = journal
    self.writesLeft = writesLeft
  }

  func load() throws(Failure) -> JournalContents { try journal.load() }

  func save(_ write: JournalWrite) throws(Failure) {
    guard writesLeft > 0 else {
      isCut = true
      throw Failure(.space, code: "journal.failed", message: "the disk is full")
    }
    writesLeft -= 1
    writes += 1
    willSave(write)
    try journal.save(write)
    didSave()
  }

  func outbox(after sequence: Int64, limit: Int) throws(Failure) -> [DeviceReport] {
    try journal.outbox(after: sequence, limit: limit)
  }

  func releaseMemory() { journal.releaseMemory() }
  func close() { journal.close() }
}
