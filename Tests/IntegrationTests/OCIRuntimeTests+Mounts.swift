import Foundation
import Glibc
import Testing
import WherryJSON
import WherryTestSupport

/// Mounts, and what an image or a host may have laid in their way.
extension OnRealParts.OCIRuntimeTests {
  private func mounted(_ entries: [JSON]) -> (inout JSON) -> Void {
    { json in
      json["root"]?["readonly"] = false
      json["mounts"] = .array((json["mounts"]?.arrayValue ?? []) + entries)
    }
  }

  private func folder(_ name: String) throws -> String {
    try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    return "\(folder)/\(name)"
  }

  /// What is open while mounts are made leads to the host: nothing is made or mounted through it.
  @Test func linksToOpenDescriptorsAreNotFollowed() throws {
    if Self.skips() { return }
    defer { end() }
    let source = try folder("source")
    for (destination, type) in [("/link/made", "tmpfs"), ("/link/file", "bind"), ("/link", "tmpfs")] {
      try bundle("true") { json in
        json["root"]?["readonly"] = false
        json["mounts"] = [
          ["destination": "/proc", "type": "proc", "source": "proc"],
          [
            "destination": .string(destination), "type": .string(type),
            "source": .string(type == "bind" ? "/etc/passwd" : "tmpfs"),
          ],
          ["destination": "/given", "source": .string(source), "options": ["bind"]],
        ]
      }
      // Slots begin at 64; the third mount has the third.
      symlink("/proc/self/fd/66", place + "/rootfs/link")
      let run = try oci("run", "--bundle", place, id)
      #expect(run.status == 1 && run.error.contains("Too many levels of symbolic links"), "\(run.text)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: source).isEmpty, "the host's \(destination)")
    }
  }

  /// CVE-2025-31133: what is mounted over a masked file has to be the null device.
  @Test func somethingElseInThePlaceOfTheNullDeviceMasksNothing() throws {
    if Self.skips() { return }
    defer { end() }
    let devices = try folder("devices")
    try "mine".write(toFile: devices + "/null", atomically: false, encoding: .utf8)
    try bundle(
      "true", mounted([["destination": "/dev", "source": .string(devices), "options": ["bind"]]]))
    let run = try oci("run", "--bundle", place, id)
    #expect(run.status == 1 && run.error.contains("cannot mask /proc/"), "\(run.text)")
    #expect(run.error.contains("No such device"), "\(run.text)")
  }

  /// CVE-2019-16884, CVE-2025-52881.
  @Test func whatIsMountedOverAPartOfProcIsNotWrittenTo() throws {
    if Self.skips() { return }
    defer { end() }
    // One whose place is the same in every namespace.
    let file = "/proc/sys/kernel/domainname"
    try bundle("cat \(file)") { $0["linux"]?["sysctl"] = ["kernel.domainname": "example"] }
    #expect(try oci("run", "--bundle", place, id).output == "example\n")
    try "before".write(toFile: folder + "/forged", atomically: false, encoding: .utf8)
    let run = try Command.run([
      "/usr/bin/unshare", "--mount", "/bin/sh", "-c",
      "mount --bind \(folder)/forged \(file) && exec \"$0\" \"$@\"", Command.program("wherry-oci"), "--root", root,
      "run", "--bundle", place, id,
    ])
    #expect(run.status == 1 && run.error.contains("cannot set kernel.domainname"), "\(run.text)")
    #expect(Command.text(folder + "/forged") == "before")
  }

  /// A container without mounts of its own has them where everybody sees them, and a link in its image must not have
  /// somebody else's taken off.
  @Test func onlyItsOwnMountsAreTakenOff() throws {
    if Self.skips() { return }
    defer { end() }
    let others = try folder("others")
    _ = try folder("bundle/rootfs" + others)
    #expect(mount("none", others, "tmpfs", 0, nil) == 0)
    defer { umount2(others, Int32(MNT_DETACH)) }
    try "x".write(toFile: others + "/file", atomically: false, encoding: .utf8)
    try bundle("mount") { json in
      json["linux"]?["namespaces"] = [["type": "pid"]]
      json["linux"]?["maskedPaths"] = []
      json["linux"]?["readonlyPaths"] = []
      json["hostname"] = nil
      json["mounts"] = [
        ["destination": "/proc", "type": "proc", "source": "proc"],
        ["destination": "/link", "type": "tmpfs", "source": "tmpfs"],
      ]
    }
    symlink(others, place + "/rootfs/link")
    let run = try oci("run", "--bundle", place, id)
    #expect(run.status == 0, "\(run.text)")
    #expect(access(others + "/file", F_OK) == 0, "what the host has mounted is there")
    let mounts = Command.text("/proc/self/mounts").split(separator: "\n").filter { $0.contains(folder) }
    #expect(mounts.count == 1, "\(mounts)")
    umount2(place + "/rootfs" + others, Int32(MNT_DETACH))
  }

  @Test func whatATmpfsIsMountedOverCanBeCopiedIntoIt() throws {
    if Self.skips() { return }
    defer { end() }
    try bundle(
      "stat -c '%a %u %F' /etc /etc/sub /etc/sub/f /etc/link; cat /etc/link; touch /etc/x",
      mounted([
        [
          "destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro", "size=1m"],
        ]
      ]))
    let etc = try folder("bundle/rootfs/etc/sub")
    try "hello\n".write(toFile: etc + "/f", atomically: false, encoding: .utf8)
    symlink("sub/f", place + "/rootfs/etc/link")
    chown(etc + "/f", 5, 6)
    chmod(etc + "/f", 0o4751)
    chmod(place + "/rootfs/etc", 0o711)
    let run = try oci("run", "--bundle", place, id)
    let expected = "711 0 directory\n755 0 directory\n4751 5 regular file\n777 0 symbolic link\nhello\n"
    #expect(run.output == expected && run.error.contains("Read-only file system"), "\(run.text)")

    let options: JSON = ["tmpcopyup", "size=64k"]
    try bundle(
      "true",
      mounted([["destination": "/bin", "type": "tmpfs", "source": "tmpfs", "options": options]]))
    let full = try oci("run", "--bundle", place, id)
    #expect(full.error.contains("cannot copy what is in /bin: No space left on device"), "\(full.text)")
  }

  /// What the host mounts later shows in a bind that is a slave, and what a container mounts shows on the host where
  /// the bind is shared; in a private one neither.
  @Test(arguments: ["rslave", "rshared", "rprivate", ""]) func bindsLearnOfLaterMountsAsTheyAreAskedTo(
    kind: String
  ) throws {
    if Self.skips() { return }
    defer { end() }
    let shared = try folder("shared")
    #expect(mount(shared, shared, nil, UInt(MS_BIND), nil) == 0)
    #expect(mount(nil, shared, nil, UInt(MS_SHARED), nil) == 0)
    for name in ["host", "inside"] { _ = try folder("shared/\(name)") }
    defer { for path in ["host", "inside", ""] { umount2("\(shared)/\(path)", Int32(MNT_DETACH)) } }
    try bundle(
      """
      mount -t tmpfs none /shared/inside; echo ready > /shared/ready
      while [ ! -e /shared/go ]; do sleep 0.05; done; ls /shared/host; echo end
      """,
      { json in
        let options = ["rbind"] + (kind.isEmpty ? [] : [kind])
        let words = JSON.array(options.map { .string($0) })
        mounted([["destination": "/shared", "source": .string(shared), "options": words]])(&json)
        for set in ["bounding", "effective", "permitted"] {
          json["process"]?["capabilities"]?[set] = ["CAP_SYS_ADMIN"]
        }
      })
    let output = folder + "/output"
    let run = try #require(
      ChildProcess(
        Command.program("wherry-oci"), ["--root", root, "run", "--bundle", place, id], outputPath: output,
        environment: ["PATH": "/bin"]))
    try Command.eventually("it is ready") { access(shared + "/ready", F_OK) == 0 }
    let isSeen = Command.text("/proc/self/mounts").contains("\(shared)/inside ")
    #expect(isSeen == (kind == "rshared"))
    #expect(mount("none", shared + "/host", "tmpfs", 0, nil) == 0)
    try "".write(toFile: shared + "/host/later", atomically: false, encoding: .utf8)
    try "".write(toFile: shared + "/go", atomically: false, encoding: .utf8)
    #expect(run.wait() == 0)
    let expected = ["rslave", "rshared"].contains(kind) ? "later\nend\n" : "end\n"
    #expect(Command.text(output) == expected)
  }
}
