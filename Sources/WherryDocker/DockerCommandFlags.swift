/// The flags of each command.
enum DockerCommandFlags {
  static let all: [String: DockerFlags.Known] = [
    "run": run,
    "stop": .init(shorts: ["t": "time", "s": "signal"], values: ["time"]),
    "kill": .init(shorts: ["s": "signal"], values: ["signal"]),
    "rm": .init(shorts: ["f": "force", "v": "volumes"], switches: ["force", "volumes"]),
    "wait": .init(),
    "pull": .init(
      shorts: ["q": "quiet", "a": "all-tags"], switches: ["quiet"], values: ["platform"],
      refused: ["all-tags": "name the one image that is wanted"]),
    "ps": .init(
      shorts: ["a": "all", "q": "quiet", "f": "filter"], switches: ["all", "quiet", "no-trunc"], values: ["filter"],
      refused: ["format": "use -q for ids, or read the table"]),
    "images": .init(
      shorts: ["q": "quiet", "a": "all"], switches: ["quiet", "all", "no-trunc"],
      refused: ["format": "use -q for ids, or read the table", "filter": "name the image: `docker images IMAGE`"]),
    "rmi": .init(shorts: ["f": "force"], switches: ["force", "no-prune"]),
    "logs": .init(
      shorts: ["f": "follow", "n": "tail", "t": "timestamps"], switches: ["follow", "timestamps"], values: ["tail"],
      refused: ["since": "use --tail N"]),
    "inspect": .init(
      shorts: ["s": "size", "f": "format"], switches: ["size"], values: ["type"],
      refused: ["format": "read the JSON that it prints"]),
    "login": .init(
      shorts: ["u": "username", "p": "password"], switches: ["password-stdin"], values: ["username", "password"]),
    "logout": .init(),
    "version": .init(shorts: ["f": "format"], values: ["format"]),
    "info": .init(shorts: ["f": "format"], values: ["format"]),
  ]

  private static let run = DockerFlags.Known(
    shorts: [
      "d": "detach", "e": "env", "h": "hostname", "i": "interactive", "m": "memory", "p": "publish", "t": "tty",
      "u": "user", "v": "volume", "w": "workdir", "l": "label", "P": "publish-all", "c": "cpu-shares",
    ],
    switches: ["detach", "interactive", "tty", "rm", "privileged", "read-only", "init", "no-healthcheck"],
    values: [
      "name", "env", "env-file", "publish", "volume", "mount", "network", "net", "device", "user", "restart",
      "entrypoint", "workdir", "memory", "memory-swap", "memory-reservation", "cpus", "cpu-shares", "pids-limit",
      "cap-add", "cap-drop", "hostname", "label", "ulimit", "stop-signal", "stop-timeout", "pull", "platform",
      "log-driver", "log-opt", "shm-size", "security-opt",
    ],
    refused: [
      "publish-all": "publish each port with -p HOST:CONTAINER",
      "pid": "containers have a pid namespace of their own; run what needs the host's as a script of the component",
      "ipc": "containers have an IPC namespace of their own; share a directory with -v",
      "gpus": "pass the device nodes with --device", "link": "use --network host, or publish ports with -p",
      "add-host": "use --network host, or the address itself", "dns": "name servers are the device's",
      "tmpfs": "use -v NAME:PATH, or --read-only, which gives a /tmp in memory",
      "volumes-from": "name the volumes with -v", "network-alias": "neighbours are found by their component's name",
      "sysctl": "use a component with a Container and its Sysctls", "runtime": "there is one runtime, the agent's",
      "userns": "users are its own; a step with RequiresPrivilege and --privileged has the host's",
      "cidfile": "keep what `docker run -d` prints", "group-add": "give the group with -u USER:GROUP",
      "health-cmd": "use a component with a Container and its Health",
    ], endsAtFirstWord: true)
}
