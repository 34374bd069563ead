import Glibc
import WherryIsolation
import WherryJSON

/// runtime-spec, features.md.
enum Features {
  static var json: JSON {
    func list(_ words: [String]) -> JSON { .array(words.sorted().map { .string($0) }) }
    return [
      "ociVersionMin": "1.0.0", "ociVersionMax": .string(OCIRuntime.specification),
      "hooks": list([
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
      ]),
      "mountOptions": list([
        "atime", "bind", "defaults", "dev", "diratime", "exec", "noatime", "nodev", "nodiratime", "noexec",
        "nostrictatime", "nosuid", "nosymfollow", "private", "rbind", "relatime", "ro", "rprivate", "rro", "rshared",
        "rslave", "runbindable", "rw", "shared", "slave", "strictatime", "suid", "tmpcopyup", "unbindable",
      ]),
      "linux": [
        "namespaces": list(["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]),
        "capabilities": list(Capability.numbers.keys.map { "CAP_" + $0 }),
        "cgroup": ["v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false],
        "seccomp": [
          "enabled": true,
          "supportedFlags": list([
            "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
          ]),
          "actions": list([
            "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
          ]),
          "operators": list([
            "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
            "SCMP_CMP_NE",
          ]),
        ],
        "apparmor": ["enabled": true], "selinux": ["enabled": false], "intelRdt": ["enabled": false],
        "mountExtensions": ["idmap": ["enabled": false]],
      ],
    ]
  }
}

/// `spec`: a container to begin with.
enum Specification {
  static func write(_ arguments: [String]) throws {
    let options = try Options(arguments, taking: [["--bundle", "-b"]], flags: [["--rootless"]])
    let path = (options["--bundle"] ?? ".") + "/config.json"
    guard Command.bytes(path) == nil else { throw Options.Misuse(description: "\(path) is there already") }
    guard let file = fopen(path, "w") else { throw Options.Misuse(description: "\(path) cannot be written") }
    fputs(template.canonical + "\n", file)
    fclose(file)
  }

  private static func mount(_ destination: String, _ type: String, _ options: [String]) -> JSON {
    [
      "destination": .string(destination), "type": .string(type), "source": .string(type),
      "options": .array(options.map { .string($0) }),
    ]
  }

  private static var template: JSON {
    let capabilities = JSON.array(Capability.containerDefault.sorted().map { .string("CAP_" + $0) })
    let safe = ["nosuid", "noexec", "nodev"]
    return [
      "ociVersion": .string(OCIRuntime.specification),
      "root": ["path": "rootfs", "readonly": true], "hostname": "wherry",
      "process": [
        "terminal": true, "user": ["uid": 0, "gid": 0], "args": ["sh"], "cwd": "/", "noNewPrivileges": true,
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "capabilities": ["bounding": capabilities, "effective": capabilities, "permitted": capabilities],
        "rlimits": [["type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024]],
      ],
      "mounts": [
        mount("/proc", "proc", []), mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        mount("/dev/shm", "tmpfs", safe + ["mode=1777", "size=65536k"]), mount("/dev/mqueue", "mqueue", safe),
        mount("/sys", "sysfs", safe + ["ro"]), mount("/sys/fs/cgroup", "cgroup", safe + ["relatime", "ro"]),
      ],
      "linux": [
        "namespaces": ["pid", "network", "ipc", "uts", "mount", "cgroup"].map { ["type": .string($0)] as JSON }.json,
        "resources": ["devices": [["allow": false, "access": "rwm"]]],
        "maskedPaths": [
          "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
        ],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
      ],
    ]
  }
}

extension [JSON] {
  fileprivate var json: JSON { .array(self) }
}
