import Testing
import WherryModel
import WherryRecipe

/// Text, and the one problem that it has.
private let table: [(text: String, problem: String)] = [
  (
    container("Image: a:1\nUlimits: { nofiles: 1 }"),
    "line 8, column 18 (/Manifests/0/Container/Ulimits/nofiles): \"nofiles\" is not a limit of processes; did you "
      + "mean nofile?"
  ),
  (
    container("Image: a:1\nUlimits: { nofile: '9:8' }"),
    "line 8, column 26 (/Manifests/0/Container/Ulimits/nofile): \"9:8\" is not a limit; write SOFT:HARD, one "
      + "number for both, or unlimited"
  ),
  (
    container("Image: a:1\nSysctls: { vm.swappiness: 1 }"),
    "line 8, column 18 (/Manifests/0/Container/Sysctls/vm.swappiness): \"vm.swappiness\" is a setting of the whole "
      + "machine; use net.…, fs.mqueue.…, kernel.msg… and kernel.shm…, or set it on the device"
  ),
  (
    container("Image: a:1\nSeccomp: lax"),
    "line 8, column 16 (/Manifests/0/Container/Seccomp): \"lax\" is not a seccomp profile; write default, unconfined, "
      + "or { Allow: […], Deny: […] }"
  ),
  (
    container("Image: a:1\nResources: { Processors: 2-1 }"),
    "line 8, column 32 (/Manifests/0/Container/Resources/Processors): \"2-1\" is not a list of processors; write "
      + "numbers and ranges, such as 0-2,4"
  ),
  (
    container("Image: a:1\nEgress: ['example.com:443']"),
    "line 8, column 16 (/Manifests/0/Container/Egress/0): \"example.com:443\" is not what can be reached; write "
      + "ADDRESS[/BITS][:PORT][/tcp or /udp], such as 10.0.0.0/8:443/tcp, or *:443 for everywhere"
  ),
  (
    container("Image: a:1\nNetwork: none\nEgress: ['*']"),
    "line 9, column 15 (/Manifests/0/Container/Egress): Egress restricts only what is on the bridge; use `Network: "
      + "bridge`, or remove Egress"
  ),
]

@Suite("RecipeReader: what few containers need")
struct ContainerOptionTests {
  @Test("each mistake gives one sentence with place and remedy", arguments: table.indices)
  func problem(row: Int) { expectProblem(table[row].text, table[row].problem) }
}
