import Foundation
import Glibc
import Testing
import WherryJSON
import WherryTestSupport

/// Who may do what at which time, and what happens at terminals.
extension OnRealParts.OCIRuntimeTests {
  private var program: String { Command.program("wherry-oci") }

  @Test func whatIsBeingCreatedCannotBeStarted() throws {
    if Self.skips() { return }
    defer { end() }
    let log = folder + "/log"
    let script = "cat; echo; \(program) --root \(root) state \(id); \(program) --root \(root) start \(id); exit 0"
    let hook: JSON = [["path": "/bin/sh", "args": ["sh", "-c", .string("{ \(script); } >> \(log) 2>&1")]]]
    try bundle("true") { $0["hooks"] = ["createRuntime": hook, "prestart": hook] }
    let created = try oci("create", "--bundle", place, id)
    try #require(created.status == 0, "\(created.text)")
    let text = Command.text(log)
    let states = text.split(separator: "\n").filter { $0.hasPrefix("{") }
      .map { $0.contains("\"status\":\"creating\"") ? "creating" : $0.contains("\"pid\":0") ? "no pid" : "created" }
    #expect(states == ["created", "creating", "creating", "creating"], "prestart hooks are told otherwise: \(text)")
    #expect(text.contains("is creating and cannot be started"), "\(text)")
    #expect(try state()["status"] == "created")
    #expect(try oci("start", id).status == 0)
  }

  @Test func onlyOneStarts() throws {
    if Self.skips() { return }
    defer { end() }
    let inside = place + "/rootfs/tmp"
    try bundle("true") { json in
      json["root"]?["readonly"] = false
      json["hooks"] = [
        "startContainer": [
          ["path": "/bin/sh", "args": ["sh", "-c", "touch /tmp/began; while [ ! -e /tmp/go ]; do sleep 0.05; done"]]
        ]
      ]
    }
    try #require(try oci("create", "--bundle", place, id).status == 0)
    let first = try #require(ChildProcess(program, ["--root", root, "start", id], environment: ["PATH": "/bin"]))
    try Command.eventually("the hook runs") { access(inside + "/began", F_OK) == 0 }
    let second = try oci("start", id)
    #expect(second.status == 1 && second.error.contains("is being started by somebody else"), "\(second.text)")
    try "".write(toFile: inside + "/go", atomically: false, encoding: .utf8)
    #expect(first.wait() == 0)
    #expect(try oci("start", id).error.contains("cannot be started"))
  }

  /// A state larger than a pipe, and a hook that reads none of it.
  @Test func aHooksTimeBeginsAtItsBirth() throws {
    if Self.skips() { return }
    defer { end() }
    try bundle("true") { json in
      json["annotations"] = ["long": .string(String(repeating: "x", count: 300_000))]
      json["hooks"] = ["createRuntime": [["path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1]]]
    }
    let created = try oci("create", "--bundle", place, id)
    #expect(created.error.contains("did not end within 1 s"), "\(created.text)")
  }

  @Test func hooksRunWhereTheRuntimeDoesWhateverNamespacesTheContainerIsGiven() throws {
    if Self.skips() { return }
    defer { end() }
    let pidFile = folder + "/holder"
    let holder = try #require(
      ChildProcess(
        "/usr/bin/unshare", ["--pid", "--fork", "--kill-child", "/bin/sh", "-c", "echo > \(pidFile); sleep 1000"]))
    defer {
      kill(holder.processID, SIGKILL)
      holder.wait()
    }
    try Command.eventually("the namespace is there") { access(pidFile, F_OK) == 0 }
    let log = folder + "/log"
    try bundle("readlink /proc/self/ns/pid") { json in
      let others = json["linux"]?["namespaces"]?.arrayValue?.filter { $0["type"] != "pid" } ?? []
      json["linux"]?["namespaces"] = .array(
        others + [["type": "pid", "path": .string("/proc/\(holder.processID)/ns/pid_for_children")], ["type": "time"]])
      let script = "readlink /proc/self/ns/pid /proc/self/ns/time > \(log)"
      json["hooks"] = ["createRuntime": [["path": "/bin/sh", "args": ["sh", "-c", .string(script)]]]]
      json["process"]?["args"] = ["/bin/busybox", "readlink", "/proc/self/ns/pid"]
    }
    let run = try oci("run", "--bundle", place, id)
    let own = try Command.run(["/usr/bin/readlink", "/proc/self/ns/pid", "/proc/self/ns/time"]).output
    #expect(run.status == 0 && Command.text(log) == own, "\(run.text)")
    let theirs = try Command.run(["/usr/bin/readlink", "/proc/\(holder.processID)/ns/pid_for_children"]).output
    #expect(run.output == theirs && !own.contains(theirs))
  }

  @Test func aUserNamespaceIsGivenByItsPath() throws {
    if Self.skips() { return }
    defer { end() }
    let holder = try #require(ChildProcess("/usr/bin/unshare", ["--user", "/bin/sleep", "1000"]))
    defer {
      kill(holder.processID, SIGKILL)
      holder.wait()
    }
    let path = "/proc/\(holder.processID)"
    let own = try Command.run(["/usr/bin/readlink", "/proc/self/ns/user"]).output
    try Command.eventually("the namespace is there") {
      try Command.run(["/usr/bin/readlink", path + "/ns/user"]).output != own
    }
    for file in ["uid_map", "gid_map"] {
      try "0 100000 65536".write(toFile: "\(path)/\(file)", atomically: false, encoding: .utf8)
    }
    try bundle("cat /proc/self/uid_map; id -u; stat -c %t:%T /dev/kmsg2 /dev/null; ls /dev/pts") { json in
      let others = json["linux"]?["namespaces"]?.arrayValue ?? []
      json["linux"]?["namespaces"] = .array(others + [["type": "user", "path": .string(path + "/ns/user")]])
      json["linux"]?["devices"] = [["path": "/dev/kmsg2", "type": "c", "major": 1, "minor": 11]]
      json["mounts"] = .array((json["mounts"]?.arrayValue ?? []).filter { $0["type"] != "cgroup" })
    }
    for name in ["proc", "dev", "sys"] {
      try? FileManager.default.createDirectory(atPath: place + "/rootfs/" + name, withIntermediateDirectories: true)
    }
    let refused = try oci("create", "--bundle", place, id)
    #expect(refused.error.contains("the device /dev/kmsg2 cannot be made in a user namespace"), "\(refused.text)")
    let text = Command.text(place + "/config.json").replacingOccurrences(of: "/dev/kmsg2", with: "/dev/kmsg")
    try text.write(toFile: place + "/config.json", atomically: true, encoding: .utf8)
    let run = try oci("run", "--bundle", place, id)
    #expect(run.status == 0 && run.output.split(separator: "\n").first?.hasSuffix(" 65536") == true, "\(run.text)")
    #expect(run.output.contains("100000") && run.output.contains("\n0\n1:b\n1:3\n"), "\(run.text)")
  }

  /// More than a terminal holds goes both ways, and nobody inside reads what comes.
  @Test func aTerminalDoesNotWaitForWhoDoesNotRead() throws {
    if Self.skips() { return }
    defer { end() }
    try bundle("stat -c %u $(tty); seq 1 30000; sleep 1000 & exit 4") { json in
      json["process"]?["terminal"] = true
      json["process"]?["user"] = ["uid": 1000, "gid": 1000]
    }
    let run = try Command.run([
      "/bin/sh", "-c", "head -c 2000000 /dev/zero | \(program) --root \(root) run --bundle \(place) \(id)",
    ])
    // What comes is echoed as ^@ meanwhile.
    let output = run.output.filter { !"^@".contains($0) }
    let numbers = (1...30_000).map { "\($0)\r\n" }.joined()
    #expect(run.status == 4 && output == "1000\r\n" + numbers, "its user's, and whole: \(output.prefix(200))")

    try bundle("sleep 1000")
    try #require(try oci("create", "--bundle", place, id).status == 0 && oci("start", id).status == 0)
    // Somebody else keeps the terminal open after the end of what was asked for.
    let more = try oci("exec", "--tty", id, "sh", "-c", "sleep 1000 & echo said; exit 5")
    #expect(more.status == 5 && more.output == "said\r\n", "\(more.text)")
  }

  @Test func oneMoreProcessHasWhatItsFileSays() throws {
    if Self.skips() { return }
    defer { end() }
    try bundle("sleep 1000")
    try #require(try oci("create", "--bundle", place, id).status == 0 && oci("start", id).status == 0)
    let file = folder + "/process.json"
    let process: JSON = [
      "cwd": "/", "args": ["/bin/sh", "-c", "cat /proc/self/oom_score_adj; busybox ionice; cat /proc/self/stat"],
      "env": ["PATH=/bin"], "oomScoreAdj": 500, "scheduler": ["policy": "SCHED_BATCH", "nice": 7],
      "ioPriority": ["class": "IOPRIO_CLASS_BE", "priority": 6],
    ]
    try process.canonical.write(toFile: file, atomically: true, encoding: .utf8)
    let run = try oci("exec", "--process", file, id)
    let lines = run.output.split(separator: "\n")
    try #require(lines.count == 3, "\(run.text)")
    #expect(lines[0] == "500" && lines[1] == "best-effort: prio 6")
    let fields = lines[2].split(separator: " ")
    #expect(fields.count > 40 && fields[18] == "7" && fields[40] == "3", "nice and SCHED_BATCH: \(lines[2])")
  }

  @Test func fewOpenFilesAreEnoughAndABrokenRecordCanBeDeleted() throws {
    if Self.skips() { return }
    defer { end() }
    try bundle("sleep 1000") { $0["process"]?["rlimits"] = nil }
    func create(openFiles: Int) throws -> Outcome {
      try Command.run([
        "/bin/sh", "-c", "ulimit -n \(openFiles); \(program) --root \(root) create --bundle \(place) \(id)",
      ])
    }
    let refused = try create(openFiles: 60)
    #expect(refused.error.contains("no more than 60 open files are allowed"), "\(refused.text)")
    let limited = try create(openFiles: 128)
    #expect(limited.status == 0, "\(limited.text)")
    try "{".write(toFile: "\(root)/\(id)/state.json", atomically: false, encoding: .utf8)
    #expect(try oci("delete", id).error.contains("the state of \(id) cannot be read"))
    #expect(try oci("delete", "--force", id).status == 0)
    #expect(try oci("list", "--quiet").output.isEmpty)
  }
}
