import Testing
import WherryJSON

@testable import WherryIsolation

/// A bundle's configuration from lines of JSON.
func bundle(_ text: String) throws -> Bundle { try Bundle(JSONCursor(try JSON(parsing: Array(text.utf8)))) }

@Suite struct BundleReaderTests {
  private func refusal(_ text: String) -> String {
    do {
      _ = try bundle(text)
      return "no refusal"
    } catch { return "\(error)" }
  }

  @Test func aWholeConfigurationIsRead() throws {
    let read = try bundle(
      """
      {"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": true}, "hostname": "h", "domainname": "d",
       "process": {"terminal": true, "consoleSize": {"height": 24, "width": 80}, "cwd": "/srv", "args": ["/a", "b"],
        "user": {"uid": 5, "gid": 6, "umask": 63, "additionalGids": [7, 8]}, "env": ["A=1"], "noNewPrivileges": true,
        "capabilities": {"bounding": ["CAP_KILL"], "ambient": []}, "oomScoreAdj": -5,
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 18446744073709551615, "hard": 18446744073709551615}]},
       "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "data", "options": ["rw"]}],
       "hooks": {"prestart": [{"path": "/bin/x", "args": ["x", "y"], "env": ["K=V"], "timeout": 3}],
        "poststop": [{"path": "/bin/z"}]},
       "annotations": {"a.b": "c"}, "unknown": {"x": 1},
       "linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": "/run/ns"}],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}], "cgroupsPath": "/a/b",
        "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 1, "gid": 2}],
        "sysctl": {"net.ipv4.ip_forward": "1"}, "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
        "rootfsPropagation": "slave", "timeOffsets": {"monotonic": {"secs": 5, "nanosecs": 6}},
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
         {"names": ["read"], "action": "SCMP_ACT_ALLOW",
          "args": [{"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_EQ"}]}]}}}
      """)
    let process = try #require(read.process)
    #expect(read.root == Bundle.Root(path: "rootfs", isReadOnly: true) && read.hostName == "h")
    #expect(process.hasTerminal && process.rows == 24 && process.columns == 80 && process.umask == 0o77)
    #expect(process.user == 5 && process.groups == [7, 8] && process.memoryKillerScore == -5)
    #expect(process.limits == [BundleProcess.Limit(type: "RLIMIT_CORE", soft: .max, hard: .max)])
    #expect(read.mounts.map(\.destination) == ["/proc", "/data"], "a relative one counts from the root")
    #expect(read.hooks.prestart[0].timeoutSeconds == 3 && read.hooks.poststop[0].arguments == ["/bin/z"])
    #expect(read.linux.namespaces.map(\.path) == [nil, "/run/ns"])
    #expect(read.linux.devices[0].mode == 0o666 && read.linux.devices[0].group == 2)
    #expect(read.linux.timeOffsets == ["monotonic": Bundle.TimeOffset(seconds: 5, nanoseconds: 6)])
    #expect(read.linux.seccomp?.calls[0].conditions[0].second == 3)
  }

  @Test(arguments: [
    ("{}", "\"ociVersion\" is missing"), ("{\"ociVersion\": 1}", "expected a string"),
    ("{\"ociVersion\": \"1.0.0\", \"process\": {\"args\": []}}", "\"cwd\" is missing"),
    ("{\"ociVersion\": \"1.0.0\", \"process\": {\"cwd\": \"srv\"}}", "is not absolute"),
    ("{\"ociVersion\": \"1.0.0\", \"process\": {\"cwd\": \"/\", \"args\": [\"a\\u0000b\"]}}", "it holds a NUL"),
    ("{\"ociVersion\": \"1.0.0\", \"process\": {\"cwd\": \"/\", \"user\": {\"uid\": -1}}}", "out of range"),
    ("{\"ociVersion\": \"1.0.0\", \"linux\": {\"namespaces\": [{\"type\": \"moon\"}]}}", "is no namespace"),
    ("{\"ociVersion\": \"1.0.0\", \"linux\": {\"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"pid\"}]}}", "twice"),
    (
      "{\"ociVersion\": \"1.0.0\", \"linux\": {\"devices\": [{\"path\": \"/x\", \"type\": \"q\"}]}}",
      "no kind of device"
    ),
    ("{\"ociVersion\": \"1.0.0\", \"hooks\": {\"prestart\": [{\"path\": \"x\"}]}}", "is not absolute"),
    (
      "{\"ociVersion\": \"1.0.0\", \"hooks\": {\"prestart\": [{\"path\": \"/x\", \"timeout\": 0}]}}",
      "more than nothing"
    ),
    ("{\"ociVersion\": \"1.0.0\", \"mounts\": [{\"destination\": \"/a\", \"uidMappings\": []}]}", "not supported"),
    ("{\"ociVersion\": \"1.0.0\", \"linux\": {\"intelRdt\": {}}}", "limits of caches are not supported"),
  ])
  func whatCannotBeMeantIsRefusedWithItsPlace(text: String, sentence: String) {
    #expect(refusal(text).contains(sentence), "\(refusal(text))")
  }

  @Test func optionsOfMountsAreSorted() {
    let bind = MountOptions(["rbind", "ro", "nosuid", "rshared", "size=5"])
    #expect(bind.isBind && bind.isRecursiveBind && !bind.isRecursive && bind.attributes == [.readOnly, .noSetuid])
    #expect(MountOptions(["ro"]).propagation == nil && MountOptions(["tmpcopyup"]).isCopiedUp)
    #expect(bind.propagation == 1 << 20 | 0x4000 && bind.data == ["size=5"])
    let deep = MountOptions(["bind", "rro"])
    #expect(deep.isRecursive && deep.attributes == .readOnly && !deep.isRecursiveBind)
    #expect(MountOptions(["ro", "rw"]).attributes == [] && MountOptions(["ro", "rw"]).cleared == .readOnly)
    #expect(MountOptions(["rw", "ro"]).attributes == .readOnly && MountOptions(["rw", "ro"]).cleared == [])
    let times = MountOptions(["strictatime", "noatime"])
    #expect(times.attributes == .noAccessTimes && times.cleared.contains(.strictAccessTimes))
    #expect(MountOptions(["defaults", "tmpcopyup", "sync"]).data == ["sync"])
  }
}
