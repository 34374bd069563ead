import Glibc
import WherryIsolation
import WherryModel

// The isolation engine as the agent uses it, without the rest of the agent.
// Told on its input what to do, one line each:
//   run          one container of /bin/true, started, awaited and removed; prints microseconds
//   hold COUNT   so many containers that sleep, at once; prints microseconds until the last of them runs
//   drop         removes them
// Arguments: a directory for logs, one on a tmpfs for what an agent keeps in /run, the shim, a layer with /bin/true and
// /bin/sleep, own or host for the users.

let arguments = CommandLine.arguments
guard arguments.count == 6, let users = UserNamespaceMode(rawValue: arguments[5]) else {
  fatalError("usage: benchmark-start LOGS RUN SHIM LAYER own|host")
}
let (logs, state, layer) = (arguments[1], arguments[2], arguments[4])
let host = try WorkloadHost(
  HostConfiguration(agentID: "bs\(getpid() % 100_000)", stateDirectory: state, shimPath: arguments[3]))

/// At once, also into a pipe.
func say(_ answer: Any) {
  let bytes = Array("\(answer)\n".utf8)
  guard write(1, bytes, bytes.count) == bytes.count else { fatalError("nobody listens") }
}

func microseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

@MainActor func specification(_ id: String, _ command: [String]) -> WorkloadSpec {
  let root = WorkloadRoot.overlay(lower: [layer], upper: state + "/u", work: state + "/w", readOnly: true)
  var spec = WorkloadSpec(id: id, root: root, arguments: command, user: .root, logPath: "\(logs)/\(id).log")
  spec.environment = ["PATH=/bin"]
  spec.capabilities = Capability.containerDefault
  spec.hostName = "bench"
  spec.users = users
  return spec
}

func attend(_ link: WorkloadLink, _ wanted: (WorkloadEvent) -> Bool) {
  var watched = pollfd(fd: link.descriptor, events: Int16(POLLIN), revents: 0)
  while link.descriptor >= 0, poll(&watched, 1, 60_000) > 0 {
    if link.readEvents().contains(where: wanted) { return }
  }
  fatalError("\(link.id) did not come that far")
}

@MainActor func run() throws {
  let start = microseconds()
  let id = "run"
  let link = try host.start(specification(id, ["/bin/true"]), identity: "")
  attend(link) { event in
    if case .exited(let exit) = event { exit.code == 0 } else { false }
  }
  host.release(id)
  say(microseconds() - start)
}

var held: [WorkloadLink] = []
@MainActor func hold(_ count: Int) throws {
  let start = microseconds()
  for number in 0..<count {
    held.append(try host.start(specification("hold-\(number)", ["/bin/sleep", "100000"]), identity: ""))
  }
  for link in held { attend(link) { if case .started = $0 { true } else { false } } }
  say(microseconds() - start)
}

while let line = readLine() {
  let words = line.split(separator: " ")
  switch words.first {
  case "run": try run()
  case "hold": try hold(words.count > 1 ? Int(words[1]) ?? 1 : 1)
  case "drop":
    for link in held {
      link.kill()
      host.release(link.id)
    }
    held = []
    say("dropped")
  default: fatalError("\(line) is not known here")
  }
}
host.tearDown()
