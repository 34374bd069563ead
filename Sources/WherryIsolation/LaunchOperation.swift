import CIsolation
import WherryModel

/// What the launch program can do; carried out by CIsolation. Slots keep directories and detached mounts over a
/// `pivotRoot`: they are the descriptors from WHERRY_FD_SLOTS on.
enum LaunchOperation: Hashable, Sendable {
  // Settings of the shim, read before the clone.
  case clone(namespaces: Int64)
  case cloneInto(cgroup: String)
  case watchMemory(file: String)
  case listProcesses(file: String)
  case log(path: String, bytesMaximum: Int)
  case target(pid: Int32)
  case clocks(ClockOffsets)
  case input(path: String)
  // In the child, in order.
  case joinCgroup(file: String)
  case open(path: String, slot: Int)
  case enter(slot: Int, namespaces: Int64)
  case unshare(namespaces: Int64)
  case hostName(String)
  case loopbackUp
  case propagation(Propagation)
  case overlay(mountPoint: String, options: String)
  /// `alone`: without what is mounted below it; `isExact`: no link on the way is followed.
  case openTree(path: String, slot: Int, alone: Bool = false, isExact: Bool = false)
  case pivotRoot(String)
  case mount(
    type: String, target: String, MountAttributes, onlyIfThere: Bool, options: [String], followsLinks: Bool = false)
  case attach(slot: Int, target: String, MountAttributes, change: MountChange = MountChange())
  case setAttributes(path: String, MountAttributes, recursively: Bool)
  /// `slot`: something below it is attached again before `seal` makes it read-only.
  case mask(path: String, slot: Int?)
  /// Nothing where there was nothing to mask.
  case seal(slot: Int)
  case readOnly(path: String)
  case directory(path: String, mode: Int64)
  case node(path: String, mode: Int64, major: Int64, minor: Int64, group: Int64, user: Int64 = 0)
  case symlink(to: String, path: String)
  case writeFile(path: String, text: String, mayFail: Bool)
  case limit(ResourceLimit, soft: Int64, hard: Int64)
  case boundingSet(UInt64)
  case user(UInt32, group: UInt32, groups: [UInt32])
  case capabilities(effective: UInt64, ambient: UInt64)
  case noNewPrivileges
  /// Nothing is written elsewhere from now on, where the kernel knows how.
  case landlock(writable: [String])
  /// `flags`: SECCOMP_FILTER_FLAG_…
  case seccomp(filter: [UInt8], flags: Int64 = 0)
  /// Input, output and errors, where they are the host's /dev/null, become the one of the present root.
  case reopenNull
  /// `waits`: what `awaitStart` needs stays open.
  case closeSlots(waits: Bool = false)
  case changeDirectory(String)
  case execute(candidates: [String], arguments: [String], environment: [String])
  // For a user namespace of its own.
  /// As `openTree`, with its users mapped by the user namespace in another slot; `isFlat`: those of mounts below it are
  /// not; `isMust`: or not at all.
  case mappedTree(
    path: String, slot: Int, users: Int, isFlat: Bool = false, isMust: Bool = false, isExact: Bool = false)
  /// Whose the files are that are made from now on, in the host's numbers.
  case fileUser(UInt32)
  case ownStreams(user: UInt32, group: UInt32)
  // For bundles of OCI runtimes.
  /// Waits until the parent has done its part, too.
  case meetParent(Meeting)
  /// Everything is ready; goes on when somebody connects, who is told of what fails from then on.
  case awaitStart
  /// Goes on in a child, born in the namespaces that were entered; the parent is told who that is.
  case beBornInside
  case domainName(String)
  case umask(Int64)
  case capabilitySets(CapabilitySets)
  case terminal(rows: Int64, columns: Int64, hasConsole: Bool, user: UInt32)
  case exactLimit(number: Int64, soft: Int64, hard: Int64)
  /// A file system that is attached later.
  case newTree(type: String, slot: Int, MountAttributes, options: [String])
  case rootMount(String)
  /// chroot(2), for who shares the mounts of others.
  case changeRoot(String)
  case treePropagation(path: String, flags: Int64)
  case personality(Int64)
  /// A `struct sched_attr`.
  case scheduler([UInt8])
  /// As ioprio_set(2) has it.
  case ioPriority(Int64)
  /// What is in that directory, into a file system that will be mounted over it.
  case copyUp(slot: Int, target: String, keepsMode: Bool)

  /// What the parent is told; the numbers are only its and the child's.
  enum Meeting: Int64, Hashable, Sendable {
    /// It is in its new namespaces; the parent maps users and moves it into cgroups.
    case born = 1
    /// Namespaces are as they shall be, the root is the host's still: hooks run.
    case furnished = 2
    case ready = 3
  }
}

/// What an attached mount is to be beside the attributes that it gets.
struct MountChange: Hashable, Sendable {
  var cleared: MountAttributes = []
  /// MS_SHARED, …, with MS_REC what lies below it too; 0 = as it comes.
  var propagation: Int64 = 0
  /// Attributes are for the mount itself only, not what lies below it.
  var isFlat = false
}

/// capabilities(7), as masks.
struct CapabilitySets: Hashable, Sendable {
  var bounding: UInt64 = 0
  var permitted: UInt64 = 0
  var effective: UInt64 = 0
  var inheritable: UInt64 = 0
  var ambient: UInt64 = 0
}

extension LaunchOperation {
  struct Encoded {
    var code: UInt32
    var numbers: [Int64] = []
    var strings: [String] = []
    var blob: [UInt8] = []

    init(_ code: wherry_op_code, _ strings: [String] = [], numbers: [Int64] = [], blob: [UInt8] = []) {
      self.code = code.rawValue
      self.strings = strings
      self.numbers = numbers
      self.blob = blob
    }
  }

  var encoded: Encoded {
    switch self {
    case .clone(let namespaces): Encoded(WHERRY_SHIM_CLONE, numbers: [namespaces])
    case .cloneInto(let cgroup): Encoded(WHERRY_SHIM_CGROUP, [cgroup])
    case .watchMemory(let file): Encoded(WHERRY_SHIM_OOM, [file])
    case .listProcesses(let file): Encoded(WHERRY_SHIM_PROCESSES, [file])
    case .log(let path, let maximum): Encoded(WHERRY_SHIM_LOG, [path], numbers: [Int64(maximum)])
    case .target(let pid): Encoded(WHERRY_SHIM_TARGET, numbers: [Int64(pid)])
    case .clocks(let offsets): Encoded(WHERRY_SHIM_CLOCKS, [offsets.lines])
    case .input(let path): Encoded(WHERRY_SHIM_INPUT, [path])
    case .joinCgroup(let file): Encoded(WHERRY_OP_JOIN_CGROUP, [file])
    case .open(let path, let slot): Encoded(WHERRY_OP_OPEN, [path], numbers: [Int64(slot)])
    case .enter(let slot, let namespaces): Encoded(WHERRY_OP_SETNS, numbers: [Int64(slot), namespaces])
    case .unshare(let namespaces): Encoded(WHERRY_OP_UNSHARE, numbers: [namespaces])
    case .hostName(let name): Encoded(WHERRY_OP_HOSTNAME, [name])
    case .loopbackUp: Encoded(WHERRY_OP_LOOPBACK_UP)
    case .writeFile(let path, let text, let mayFail):
      Encoded(WHERRY_OP_WRITE_FILE, [path, text], numbers: [mayFail ? 1 : 0])
    case .limit(let limit, let soft, let hard): Encoded(WHERRY_OP_LIMIT, numbers: [limit.rawValue, soft, hard])
    case .reopenNull: Encoded(WHERRY_OP_REOPEN_NULL)
    case .closeSlots(let waits): Encoded(WHERRY_OP_CLOSE_SLOTS, numbers: [waits ? 1 : 0])
    case .changeDirectory(let path): Encoded(WHERRY_OP_CHANGE_DIRECTORY, [path])
    case .execute(let candidates, let arguments, let environment):
      Encoded(
        WHERRY_OP_EXECUTE, candidates + arguments + environment,
        numbers: [Int64(candidates.count), Int64(arguments.count), Int64(environment.count)])
    case .boundingSet, .user, .capabilities, .capabilitySets, .noNewPrivileges, .seccomp, .fileUser, .ownStreams,
      .landlock:
      encodedPrivileges
    case .meetParent, .awaitStart, .beBornInside, .domainName, .umask, .terminal, .exactLimit, .newTree, .personality,
      .scheduler, .ioPriority, .copyUp:
      encodedForBundles
    case .rootMount, .changeRoot, .treePropagation, .propagation, .overlay, .openTree, .mappedTree, .pivotRoot, .mount,
      .attach, .setAttributes, .mask, .seal, .readOnly, .directory, .node, .symlink:
      encodedMounts
    }
  }

  private var encodedPrivileges: Encoded {
    switch self {
    case .boundingSet(let mask): Encoded(WHERRY_OP_BOUNDING_SET, numbers: [Int64(bitPattern: mask)])
    case .user(let user, let group, let groups):
      Encoded(
        WHERRY_OP_USER, numbers: [Int64(user), Int64(group), Int64(groups.count)],
        blob: groups.flatMap { group in withUnsafeBytes(of: group) { Array($0) } })
    case .capabilities(let effective, let ambient):
      Encoded(WHERRY_OP_CAPABILITIES, numbers: [Int64(bitPattern: effective), Int64(bitPattern: ambient)])
    case .capabilitySets(let sets):
      Encoded(
        WHERRY_OP_CAPABILITY_SETS,
        numbers: [sets.permitted, sets.inheritable, sets.ambient, sets.effective].map { Int64(bitPattern: $0) })
    case .noNewPrivileges: Encoded(WHERRY_OP_NO_NEW_PRIVILEGES)
    case .landlock(let paths): Encoded(WHERRY_OP_LANDLOCK, paths)
    case .fileUser(let id): Encoded(WHERRY_OP_FILE_USER, numbers: [Int64(id), Int64(id)])
    case .ownStreams(let user, let group): Encoded(WHERRY_OP_OWN_STREAMS, numbers: [Int64(user), Int64(group)])
    case .seccomp(let filter, let flags): Encoded(WHERRY_OP_SECCOMP, numbers: [flags], blob: filter)
    default: preconditionFailure("not about privileges: \(self)")
    }
  }

  private var encodedForBundles: Encoded {
    switch self {
    case .meetParent(let meeting): Encoded(WHERRY_OP_MEET_PARENT, numbers: [meeting.rawValue])
    case .beBornInside: Encoded(WHERRY_OP_BE_BORN_INSIDE)
    case .awaitStart: Encoded(WHERRY_OP_AWAIT_START, numbers: [Meeting.ready.rawValue])
    case .domainName(let name): Encoded(WHERRY_OP_DOMAIN_NAME, [name])
    case .umask(let mask): Encoded(WHERRY_OP_UMASK, numbers: [mask])
    case .terminal(let rows, let columns, let hasConsole, let user):
      Encoded(WHERRY_OP_TERMINAL, numbers: [rows, columns, hasConsole ? 1 : 0, Int64(user)])
    case .exactLimit(let number, let soft, let hard):
      Encoded(WHERRY_OP_EXACT_LIMIT, numbers: [number, soft, hard])
    case .newTree(let type, let slot, let attributes, let options):
      Encoded(WHERRY_OP_NEW_TREE, [type] + options, numbers: [Int64(slot), attributes.rawValue])
    case .personality(let number): Encoded(WHERRY_OP_PERSONALITY, numbers: [number])
    case .scheduler(let attributes): Encoded(WHERRY_OP_SCHEDULER, blob: attributes)
    case .ioPriority(let number): Encoded(WHERRY_OP_IO_PRIORITY, numbers: [number])
    case .copyUp(let slot, let target, let keepsMode):
      Encoded(WHERRY_OP_COPY_UP, [target], numbers: [Int64(slot), keepsMode ? 1 : 0])
    default: preconditionFailure("not for bundles alone: \(self)")
    }
  }

  private var encodedMounts: Encoded {
    switch self {
    case .changeRoot(let path): Encoded(WHERRY_OP_CHANGE_ROOT, [path])
    case .rootMount(let path): Encoded(WHERRY_OP_ROOT_MOUNT, [path])
    case .treePropagation(let path, let flags): Encoded(WHERRY_OP_TREE_PROPAGATION, [path], numbers: [flags])
    case .propagation(let kind): Encoded(WHERRY_OP_PROPAGATION, numbers: [kind.rawValue])
    case .overlay(let mountPoint, let options): Encoded(WHERRY_OP_OVERLAY, [mountPoint, options])
    case .openTree(let path, let slot, let alone, let isExact):
      Encoded(WHERRY_OP_OPEN_TREE, [path], numbers: [Int64(slot), alone ? 1 : 0, 0, isExact ? 1 : 0])
    case .mappedTree(let path, let slot, let users, let isFlat, let isMust, let isExact):
      Encoded(
        WHERRY_OP_MAPPED_TREE, [path],
        numbers: [Int64(slot), Int64(users), (isFlat ? 1 : 0) | (isMust ? 2 : 0), isExact ? 1 : 0])
    case .pivotRoot(let path): Encoded(WHERRY_OP_PIVOT_ROOT, [path])
    case .mount(let type, let target, let attributes, let onlyIfThere, let options, let followsLinks):
      Encoded(
        WHERRY_OP_MOUNT, [type, target] + options,
        numbers: [attributes.rawValue, onlyIfThere ? 1 : 0, followsLinks ? 1 : 0])
    case .attach(let slot, let target, let attributes, let change):
      Encoded(
        WHERRY_OP_ATTACH, [target],
        numbers: [
          Int64(slot), attributes.rawValue, change.cleared.rawValue | (change.isFlat ? 1 << 32 : 0), change.propagation,
        ])
    case .setAttributes(let path, let attributes, let recursively):
      Encoded(WHERRY_OP_SET_ATTRIBUTES, [path], numbers: [attributes.rawValue, recursively ? 1 : 0])
    case .mask(let path, let slot):
      Encoded(WHERRY_OP_MASK, [path, "mode=0555"], numbers: [slot == nil ? 0 : 1, Int64(slot ?? 0)])
    case .seal(let slot): Encoded(WHERRY_OP_SEAL, numbers: [Int64(slot)])
    case .readOnly(let path): Encoded(WHERRY_OP_READ_ONLY, [path])
    case .directory(let path, let mode): Encoded(WHERRY_OP_DIRECTORY, [path], numbers: [mode])
    case .node(let path, let mode, let major, let minor, let group, let user):
      Encoded(WHERRY_OP_NODE, [path], numbers: [mode, major, minor, user << 32 | group])
    case .symlink(let text, let path): Encoded(WHERRY_OP_SYMLINK, [text, path])
    default: preconditionFailure("not about mounts: \(self)")
    }
  }
}
