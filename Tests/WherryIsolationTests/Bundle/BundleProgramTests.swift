import Testing
import WherryJSON
import WherryModel

@testable import WherryIsolation

@Suite struct BundleProgramTests {
  private func bundle(process: String = "", linux: String = "", others: String = "") throws -> Bundle {
    try WherryIsolationTests.bundle(
      """
      {"ociVersion": "1.0.2", "root": {"path": "/r"}, \(others.isEmpty ? "" : others + ",")
       "process": {"cwd": "/", "args": ["true"]\(process.isEmpty ? "" : ", " + process)},
       "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]\(linux.isEmpty ? "" : ", " + linux)}}
      """)
  }

  private func operations(_ bundle: Bundle, _ context: BundleContext = BundleContext(root: "/r")) throws
    -> [LaunchOperation]
  {
    try BundleProgram.build(bundle, context).steps.map(\.operation)
  }

  private func refusal(_ bundle: Bundle) -> String {
    do throws(Failure) {
      _ = try BundleProgram.build(bundle, BundleContext(root: "/r"))
      return "no refusal"
    } catch { return error.message }
  }

  @Test func theOrderIsSafe() throws {
    let made = try operations(
      try bundle(
        process: "\"noNewPrivileges\": true", linux: "\"maskedPaths\": [\"/proc/kcore\"]",
        others: "\"mounts\": [{\"destination\": \"/data\", \"source\": \"/srv\", \"options\": [\"bind\", \"ro\"]}]"),
      {
        var context = BundleContext(root: "/r")
        context.seccompFilter = [0, 0, 0, 0, 0, 0, 0, 0]
        return context
      }())
    func place(_ operation: LaunchOperation) throws -> Int { try #require(made.firstIndex(of: operation)) }
    let pivot = try place(.pivotRoot("/r"))
    #expect(try place(.openTree(path: "/srv", slot: 0, alone: true)) < pivot, "the host's is opened before")
    let attach = LaunchOperation.attach(
      slot: 0, target: "/data", .readOnly,
      change: MountChange(propagation: Propagation.privateTree.rawValue, isFlat: true))
    #expect(try place(attach) > pivot, "and looked up in the container's own root")
    #expect(try place(.mask(path: "/proc/kcore", slot: nil)) > pivot)
    let closed = try place(.closeSlots(waits: true))
    #expect(try closed < place(.awaitStart) && closed < place(.changeDirectory("/")), "CVE-2024-21626")
    #expect(try place(.noNewPrivileges) < place(.seccomp(filter: [0, 0, 0, 0, 0, 0, 0, 0])))
    #expect(try place(.user(0, group: 0, groups: [])) < place(.awaitStart))
    guard case .execute = made.last else { return #expect(Bool(false), "nothing follows the execution") }
  }

  /// CVE-2016-9962: one that is seen inside, in the pid namespace, has nothing of the host's any more. So who enters is
  /// not the one who is born there, and between the two nothing happens.
  @Test func oneMoreProcessIsBornWhereEverythingIsTheContainersAlready() throws {
    let container = try bundle()
    var context = BundleContext(root: "/")
    context.cgroupFiles = ["/c/tasks"]
    let flags = Namespace.mount | Namespace.pid
    let process = try #require(container.process)
    let made = try BundleProgram.build(process, in: container, entering: flags, context).steps.map(\.operation)
    #expect(
      made.prefix(3) == [
        .joinCgroup(file: "/c/tasks"), .enter(slot: 0, namespaces: flags), .beBornInside,
      ])
    #expect(!made.contains { if case .awaitStart = $0 { true } else { false } })
  }

  @Test func withoutNoNewPrivilegesTheFilterComesWhileRightsAreThere() throws {
    var context = BundleContext(root: "/r")
    context.seccompFilter = [1]
    let made = try operations(try bundle(process: "\"user\": {\"uid\": 7}"), context)
    let filter = try #require(made.firstIndex(of: .seccomp(filter: [1])))
    #expect(try filter < #require(made.firstIndex(of: .user(7, group: 0, groups: []))))
    #expect(!made.contains(.noNewPrivileges))
  }

  @Test func inAUserNamespaceDevicesAreAttachedAndItsRootIsBecomeFirst() throws {
    let made = try operations(
      try WherryIsolationTests.bundle(
        """
        {"ociVersion": "1.0.2", "root": {"path": "/r"}, "process": {"cwd": "/", "args": ["true"]},
         "linux": {"namespaces": [{"type": "mount"}, {"type": "user"}]}}
        """))
    #expect(made[0...1] == [.meetParent(.born), .user(0, group: 0, groups: [])])
    #expect(made.contains { if case .openTree("/dev/null", _, _, _) = $0 { true } else { false } })
    #expect(!made.contains { if case .node = $0 { true } else { false } })
  }

  /// That of users is entered by who clones: it says what may be done to the others.
  @Test func namespacesByPathAreEntered() throws {
    let made = try operations(
      try WherryIsolationTests.bundle(
        """
        {"ociVersion": "1.0.2", "root": {"path": "/r"}, "process": {"cwd": "/", "args": ["true"]},
         "linux": {"namespaces": [{"type": "network", "path": "/n"}, {"type": "mount"},
          {"type": "user", "path": "/u"}]}}
        """))
    let entered = made.compactMap { if case .enter(_, let flags) = $0 { flags } else { nil } }
    #expect(entered == [Namespace.network])
    #expect(made[0...1] == [.meetParent(.born), .user(0, group: 0, groups: [])])
  }

  /// A bind has the host's peers only when it is taken while the host's mounts are peers still.
  @Test func bindsAreTakenBeforeMountsArePrivate() throws {
    func change(_ options: String, _ root: String = "private") throws -> (change: MountChange?, isTakenFirst: Bool) {
      let made = try operations(
        try bundle(
          linux: "\"rootfsPropagation\": \"\(root)\"",
          others: "\"mounts\": [{\"destination\": \"/d\", \"source\": \"/s\", \"options\": [\(options)]}]"))
      let taken = made.firstIndex { if case .openTree("/s", _, _, _) = $0 { true } else { false } }
      let kept = made.firstIndex {
        switch $0 {
        case .propagation, .treePropagation: true
        default: false
        }
      }
      let change = made.compactMap { if case .attach(_, "/d", _, let change) = $0 { change } else { nil } }.first
      return (change, try #require(taken) < #require(kept))
    }
    let slave = try #require(MountOptions.propagation(named: "rslave"))
    #expect(try change("\"rbind\", \"rslave\"") == (MountChange(propagation: slave, isFlat: true), true))
    #expect(try change("\"rbind\"").change?.propagation == Propagation.privateTree.rawValue)
    #expect(try change("\"rbind\"", "slave").change?.propagation == slave)
    #expect(try change("\"rbind\"", "rshared").change?.propagation == 0)
    let root = try operations(try bundle(linux: "\"rootfsPropagation\": \"rslave\""))
    let flags = try #require(MountOptions.propagation(named: "slave"))
    #expect(root.contains(.treePropagation(path: "/", flags: flags)), "each mount has its own")
  }

  @Test func devicesOfTheBundleAreTheHostsInAUserNamespace() throws {
    let container = try WherryIsolationTests.bundle(
      """
      {"ociVersion": "1.0.2", "root": {"path": "/r"}, "process": {"cwd": "/", "args": ["true"]},
       "linux": {"namespaces": [{"type": "mount"}, {"type": "user"}],
        "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}, {"path": "/dev/p", "type": "p"}]}}
      """)
    #expect(refusal(container).contains("/dev/fuse cannot be made in a user namespace"))
    var context = BundleContext(root: "/r")
    context.hostDevices = ["/dev/fuse"]
    let made = try operations(container, context)
    #expect(made.contains { if case .openTree("/dev/fuse", _, _, _) = $0 { true } else { false } })
    #expect(made.contains { if case .attach(_, "/dev/fuse", _, _) = $0 { true } else { false } })
    #expect(made.contains { if case .node("/dev/p", _, _, _, _, _) = $0 { true } else { false } })
  }

  @Test func theMakerOfTerminalsIsItsOwn() throws {
    func paths(_ mounts: String) throws -> [String] {
      let device = "{\"path\": \"/dev/ptmx\", \"type\": \"c\", \"major\": 5, \"minor\": 2}"
      let made = try operations(
        try bundle(linux: "\"devices\": [\(device)]", others: "\"mounts\": [\(mounts)]"))
      return made.compactMap { if case .node(let path, _, _, _, _, _) = $0 { path } else { nil } }
    }
    #expect(try !paths("{\"destination\": \"/dev/pts\", \"type\": \"devpts\"}").contains("/dev/ptmx"))
    #expect(try paths("").contains("/dev/ptmx"))
  }

  @Test func theSchedulerIsToldAsTheKernelHasIt() throws {
    let process = """
      "scheduler": {"policy": "SCHED_FIFO", "priority": 9, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
      "ioPriority": {"class": "IOPRIO_CLASS_IDLE"}
      """
    let made = try operations(try bundle(process: process))
    func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
    let bytes = [48, 0, 0, 0, 1, 0, 0, 0, 1] + zeros(11) + [9] + zeros(27)
    #expect(made.contains(.scheduler(bytes)) && made.contains(.ioPriority(3 << 13)))
    #expect(refusal(try bundle(process: "\"scheduler\": {\"policy\": \"SCHED_FUN\"}")).contains("is not known"))
    #expect(refusal(try bundle(process: "\"ioPriority\": {\"class\": \"FUN\"}")).contains("is not known"))
  }

  @Test func flagsOfTheFilterAreHandedOn() throws {
    var context = BundleContext(root: "/r")
    context.seccompFilter = [1]
    func made(_ flag: String) throws -> [LaunchOperation] {
      try operations(
        try bundle(
          linux: "\"seccomp\": {\"defaultAction\": \"SCMP_ACT_LOG\", \"flags\": [\"\(flag)\"]}"), context)
    }
    #expect(try made("SECCOMP_FILTER_FLAG_LOG").contains(.seccomp(filter: [1], flags: 2)))
    #expect(throws: Failure.self) { try made("SECCOMP_FILTER_FLAG_FUN") }
  }

  @Test func sharedMountsMeanAChangeOfRootOnly() throws {
    let made = try operations(
      try WherryIsolationTests.bundle(
        """
        {"ociVersion": "1.0.2", "root": {"path": "/r", "readonly": true}, "process": {"cwd": "/", "args": ["true"]},
         "linux": {"namespaces": []}}
        """))
    #expect(made.contains(.changeRoot("/r")) && !made.contains(.pivotRoot("/r")))
    #expect(!made.contains { if case .setAttributes = $0 { true } else { false } }, "not the host's mount")
    #expect(!made.contains { if case .propagation = $0 { true } else { false } })
  }

  @Test func whatWouldReachTheHostIsRefused() throws {
    #expect(refusal(try bundle(others: "\"hostname\": \"x\"")).contains("hostname is set without a uts namespace"))
    for key in ["kernel.core_pattern", "net.ipv4.ip_forward", "vm.swappiness", "fs.mqueue..x"] {
      let sentence = refusal(try bundle(linux: "\"sysctl\": {\"\(key)\": \"1\"}"))
      #expect(sentence.contains("\(key) belongs to no namespace"), "\(sentence)")
    }
    let own = try WherryIsolationTests.bundle(
      """
      {"ociVersion": "1.0.2", "root": {"path": "/r"}, "process": {"cwd": "/", "args": ["true"]},
       "linux": {"namespaces": [{"type": "network"}], "sysctl": {"net.ipv4.ip_forward": "1"}}}
      """)
    #expect(try operations(own).contains(.writeFile(path: "/proc/sys/net/ipv4/ip_forward", text: "1", mayFail: false)))
  }

  @Test func whatCannotBeDoneIsRefused() throws {
    #expect(refusal(try bundle(process: "\"apparmorProfile\": \"p\"")).contains("needs AppArmor"))
    #expect(refusal(try bundle(linux: "\"rootfsPropagation\": \"sideways\"")).contains("is not known"))
    #expect(refusal(try bundle(linux: "\"personality\": {\"domain\": \"SUNOS\"}")).contains("is not known"))
    let limit = "\"rlimits\": [{\"type\": \"RLIMIT_FUN\", \"soft\": 1, \"hard\": 1}]"
    #expect(refusal(try bundle(process: limit)).contains("RLIMIT_FUN is not known"))
    let mounts = "\"mounts\": [{\"destination\": \"/a\", \"options\": [\"bind\"]}]"
    #expect(refusal(try bundle(others: mounts)).contains("has no source"))
    #expect(refusal(try bundle(others: "\"mounts\": [{\"destination\": \"/a\"}]")).contains("has no type"))
    for (type, option) in [("bind", "idmap"), ("bind", "fun"), ("tmpfs", "ridmap"), ("proc", "tmpcopyup")] {
      let mount = "{\"destination\": \"/a\", \"type\": \"\(type)\", \"source\": \"/s\", \"options\": [\"\(option)\"]}"
      #expect(refusal(try bundle(others: "\"mounts\": [\(mount)]")).contains("the option \(option) of the mount on /a"))
    }
  }

  @Test func unknownCapabilitiesArePassedOver() throws {
    let made = try operations(
      try bundle(
        process: "\"capabilities\": {\"bounding\": [\"CAP_KILL\", \"CAP_NEXT_YEARS\"], \"permitted\": [\"KILL\"]}"))
    var sets = CapabilitySets()
    (sets.bounding, sets.permitted) = (1 << 5, 1 << 5)
    #expect(made.contains(.capabilitySets(sets)) && made.contains(.boundingSet(1 << 5)))
  }

  @Test func filtersAreCompiled() throws {
    var seccomp = BundleSeccomp(defaultAction: "SCMP_ACT_ERRNO", defaultErrno: 38)
    seccomp.calls = [
      BundleSeccomp.Call(names: ["read", "no_such_call"], action: "SCMP_ACT_ALLOW"),
      BundleSeccomp.Call(names: ["close"], action: "SCMP_ACT_ERRNO", errno: 38),
      BundleSeccomp.Call(
        names: ["socket"], action: "SCMP_ACT_ALLOW",
        conditions: [
          BundleSeccomp.Condition(index: 0, value: 1, second: 0, comparison: "SCMP_CMP_EQ"),
          BundleSeccomp.Condition(index: 0, value: 2, second: 0, comparison: "SCMP_CMP_EQ"),
        ]),
    ]
    let filter = try seccomp.compiled()
    #expect(filter.count % 8 == 0 && filter.count > 40)
    seccomp.defaultAction = "SCMP_ACT_DANCE"
    #expect(throws: Failure.self) { try seccomp.compiled() }
  }
}
