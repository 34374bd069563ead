import Foundation
import Glibc
import Testing
import WherryJSON
import WherryTestSupport

extension OnRealParts {
  /// `wherry-oci` as whoever runs containers calls it.
  @Suite(.serialized) struct OCIRuntimeTests {
    let folder: String
    var root: String { folder + "/state" }
    var place: String { folder + "/bundle" }
    let id = "wherry-test-\(getpid())"

    init() throws { folder = try Command.temporaryFolder() }

    static func skips() -> Bool {
      if geteuid() == 0, access("/bin/busybox", X_OK) == 0 { return false }
      print("skipped: wherry-oci needs root and Debian's busybox-static")
      return true
    }

    func oci(_ arguments: String...) throws -> Outcome {
      try Command.run(["wherry-oci", "--root", root] + arguments)
    }

    /// The container that `spec` proposes, without a terminal, with what the test asks for.
    func bundle(_ command: String, _ change: (inout JSON) -> Void = { _ in }) throws {
      let manager = FileManager.default
      for path in ["bin", "tmp"] {
        try manager.createDirectory(atPath: place + "/rootfs/" + path, withIntermediateDirectories: true)
      }
      if !manager.fileExists(atPath: place + "/rootfs/bin/sh") {
        try manager.copyItem(atPath: "/bin/busybox", toPath: place + "/rootfs/bin/busybox")
        let names = [
          "sh", "cat", "id", "ls", "sleep", "hostname", "touch", "mknod", "tty", "echo", "stat", "mount", "seq",
        ]
        for name in names {
          symlink("busybox", place + "/rootfs/bin/\(name)")
        }
      }
      try? manager.removeItem(atPath: place + "/config.json")
      let spec = try oci("spec", "--bundle", place)
      try #require(spec.status == 0, "\(spec.text)")
      var json = try JSON(parsing: Array(Command.text(place + "/config.json").utf8))
      json["process"]?["terminal"] = false
      json["process"]?["args"] = ["/bin/sh", "-c", .string(command)]
      change(&json)
      try json.canonical.write(toFile: place + "/config.json", atomically: true, encoding: .utf8)
    }

    func state() throws -> JSON { try JSON(parsing: Array(try oci("state", id).output.utf8)) }

    func wait(for status: String) throws {
      try Command.eventually("the container is \(status)") { try state()["status"]?.stringValue == status }
    }

    func end() {
      _ = try? oci("delete", "--force", id)
      let left = try? Command.run(["/usr/bin/find", "/sys/fs/cgroup", "-type", "d", "-name", id])
      #expect(left?.output == "", "cgroups are left: \(left?.output ?? "")")
      try? FileManager.default.removeItem(atPath: folder)
    }

    @Test func aContainerRunsAndItsCodeIsHandedOn() throws {
      if Self.skips() { return }
      defer { end() }
      try bundle("id -u; hostname; cat /proc/1/comm; ls /; touch /x; echo $?; exit 7")
      let run = try oci("run", "--bundle", place, id)
      #expect(run.status == 7, "\(run.text)")
      let lines = run.output.split(separator: "\n")
      #expect(lines.first == "0" && lines[1] == "wherry" && lines.last == "1", "its root is read-only: \(run.text)")
      #expect(!run.output.contains("home"), "the host's root is not there")
      #expect(try oci("state", id).status == 1, "nothing is remembered of it")
    }

    @Test func theLifeOfAContainer() throws {
      if Self.skips() { return }
      defer { end() }
      try bundle("trap 'exit 3' TERM; echo ready > /proc/self/fd/1; while :; do sleep 1 & wait $!; done")
      let created = try oci("create", "--bundle", place, "--pid-file", folder + "/pid", id)
      try #require(created.status == 0, "\(created.text)")
      #expect(try state()["status"] == "created")
      #expect(try oci("create", "--bundle", place, id).error.contains("there is a container"))
      #expect(try oci("delete", id).error.contains("is created and cannot be deleted"))
      #expect(try "\(state()["pid"]?.integerValue ?? 0)" == Command.text(folder + "/pid"))
      #expect(try oci("start", id).status == 0)
      #expect(try state()["status"] == "running")
      #expect(try oci("start", id).error.contains("is running and cannot be started"))
      #expect(try oci("list").output.contains(id) && oci("ps", "--format", "json", id).output.hasPrefix("["))

      #expect(try oci("pause", id).status == 0)
      #expect(try state()["status"] == "paused")
      #expect(try oci("resume", id).status == 0)

      let inside = try oci(
        "exec", "--env", "A=b c", "--user", "5:6", "--cwd", "/bin", id, "sh", "-c", "id; echo $A $PWD")
      #expect(inside.output.contains("uid=5 gid=6") && inside.output.contains("b c /bin"), "\(inside.text)")
      #expect(try oci("exec", id, "sh", "-c", "exit 9").status == 9)
      #expect(try oci("exec", id, "/no/such").error.contains("cannot execute /no/such"))

      #expect(try oci("kill", id, "TERM").status == 0)
      try wait(for: "stopped")
      #expect(try oci("kill", id, "KILL").status == 1)
      #expect(try oci("delete", id).status == 0)
    }

    @Test func hooksRunInTheirPlaces() throws {
      if Self.skips() { return }
      defer { end() }
      let log = folder + "/hooks"
      func hook(_ name: String) -> JSON {
        [["path": "/bin/sh", "args": ["sh", "-c", .string("cat > /dev/null; echo \(name) >> \(log)")]]]
      }
      try bundle("cat /tmp/started; exit 0") { json in
        json["root"]?["readonly"] = false
        json["hooks"] = [
          "startContainer": [
            [
              "path": "/bin/sh", "env": ["A=inside"],
              "args": ["sh", "-c", "cat > /tmp/state; echo $A $(id -u) $(cat /proc/1/comm) > /tmp/started"],
            ]
          ], "createRuntime": hook("createRuntime"), "createContainer": hook("createContainer"),
          "poststart": hook("poststart"), "poststop": hook("poststop"),
        ]
      }
      let run = try oci("run", "--bundle", place, id)
      #expect(
        run.status == 0 && run.output == "inside 0 wherry-oci\n", "the container's first waits still: \(run.text)")
      #expect(Command.text(place + "/rootfs/tmp/state").contains("\"status\":\"created\""))
      #expect(Command.text(log) == "createRuntime\ncreateContainer\npoststart\npoststop\n")
      try bundle("exit 0") { $0["hooks"] = ["createRuntime": [["path": "/bin/false"]]] }
      let failed = try oci("create", "--bundle", place, id)
      #expect(failed.status == 1 && failed.error.contains("the createRuntime hook /bin/false failed"), "\(failed.text)")
      #expect(try oci("state", id).status == 1)
      try? FileManager.default.removeItem(atPath: log)
      try bundle("exit 0") { json in
        json["hooks"] = ["createRuntime": [["path": "/bin/false"]], "poststop": hook("poststop")]
      }
      #expect(try oci("create", "--bundle", place, id).status == 1)
      #expect(Command.text(log) == "poststop\n", "what hooks did is undone by hooks")
    }

    @Test func limitsAndDevicesHold() throws {
      if Self.skips() { return }
      defer { end() }
      try bundle("cat /dev/null && mknod /dev/sda b 8 0; for i in 1 2 3 4 5 6; do sleep 3 & done; echo made") { json in
        json["linux"]?["resources"] = [
          "pids": ["limit": 4], "devices": [["allow": false, "access": "rwm"]],
        ]
        json["process"]?["capabilities"] = [
          "bounding": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"],
        ]
      }
      let run = try oci("run", "--bundle", place, id)
      #expect(run.error.contains("mknod: /dev/sda: Operation not permitted"), "\(run.text)")
      #expect(run.error.contains("can't fork"), "\(run.text)")
    }

    /// CVE-2019-5736: the kernel executes the runtime again inside, and root there tries to write to its file.
    @Test func anImageCannotReachTheRuntimesOwnFile() throws {
      if Self.skips() { return }
      defer { end() }
      try bundle("true") { json in
        json["root"]?["readonly"] = false
        json["process"]?["args"] = ["/evil"]
      }
      try "#!/proc/self/exe\n".write(toFile: place + "/rootfs/evil", atomically: true, encoding: .utf8)
      chmod(place + "/rootfs/evil", 0o755)
      let before = try FileManager.default.attributesOfItem(atPath: Command.program("wherry-oci"))
      _ = try oci("run", "--bundle", place, id)
      try bundle("for p in /proc/[0-9]*; do chmod 777 $p/exe; echo x >> $p/exe; done 2>&1; exit 0")
      #expect(try oci("create", "--bundle", place, id).status == 0 && oci("start", id).status == 0)
      try wait(for: "stopped")
      let after = try FileManager.default.attributesOfItem(atPath: Command.program("wherry-oci"))
      for key in [FileAttributeKey.posixPermissions, .size, .modificationDate] {
        #expect("\(before[key] ?? 0)" == "\(after[key] ?? 1)", "\(key) has changed")
      }
    }

    @Test func whatIsInACgroupAlreadyIsLeftAlone() throws {
      if Self.skips() { return }
      defer { end() }
      let cgroup = try #require(
        ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].first { access($0 + "/cgroup.procs", F_OK) == 0 })
      let other = "\(cgroup)/\(id)-other/below"
      mkdir("\(cgroup)/\(id)-other", 0o755)
      mkdir(other, 0o755)
      let stranger = try #require(ChildProcess("/bin/sleep", ["1000"], outputPath: "/dev/null"))
      defer {
        kill(stranger.processID, SIGKILL)
        stranger.wait()
        for path in [other, "\(cgroup)/\(id)-other"] {
          try? Command.eventually("the cgroup is gone") { rmdir(path) == 0 || errno == ENOENT }
        }
      }
      try "\(stranger.processID)".write(toFile: other + "/cgroup.procs", atomically: false, encoding: .utf8)
      for path in ["/\(id)-other/below", "/\(id)-other", "/", "../.."] {
        try bundle("true") { $0["linux"]?["cgroupsPath"] = .string(path) }
        let refused = try oci("create", "--bundle", place, id)
        #expect(refused.error.contains("holds processes that are not the container's"), "\(refused.text)")
      }
      #expect(kill(stranger.processID, 0) == 0)
    }

    @Test func aTerminalIsItsOwn() throws {
      if Self.skips() { return }
      defer { end() }
      try bundle("tty; ls /dev/console; sleep 1") { $0["process"]?["terminal"] = true }
      let run = try Command.run([
        "/usr/bin/script", "-qec", "\(Command.program("wherry-oci")) --root \(root) run --bundle \(place) \(id)",
        "/dev/null",
      ])
      #expect(run.output.contains("/dev/pts/0") && run.output.contains("/dev/console"), "\(run.text)")
    }

    @Test func whatIsWrongIsSaidAndNothingIsLeft() throws {
      if Self.skips() { return }
      defer { end() }
      try bundle("true") { $0["process"]?["args"] = ["/no/such/program"] }
      #expect(try oci("create", "--bundle", place, id).status == 0)
      #expect(try oci("start", id).error.contains("cannot execute /no/such/program: No such file or directory"))
      try wait(for: "stopped")
      #expect(try oci("delete", id).status == 0)

      try bundle("true") { $0["mounts"] = [["destination": "/x", "source": "/no/such/place", "options": ["bind"]]] }
      let mount = try oci("create", "--bundle", place, id)
      #expect(mount.status == 1 && mount.error.contains("cannot open /no/such/place"), "\(mount.text)")
      try bundle("true") { $0["linux"]?["resources"] = ["memory": ["limit": 1, "swappiness": 500]] }
      #expect(try oci("create", "--bundle", place, id).error.contains("swappiness is from 0 to 100"))
      #expect(try oci("create", "--bundle", folder + "/nowhere", id).error.contains("cannot be entered"))
      #expect(try oci("state", "no such").status == 1 && oci("frobnicate").status == 2)
      #expect(try oci("create", "--preserve-fds", "3", id).status == 2)
      #expect(try oci("features").output.contains("\"ociVersionMax\""))
      #expect(try oci("list", "--quiet").output.isEmpty)
    }
  }
}
