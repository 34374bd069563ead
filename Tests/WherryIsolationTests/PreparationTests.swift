import CIsolation
import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

@Suite struct PreparationTests {
  private let directory = TemporaryDirectory()

  private func root(_ name: String, _ files: [String: String]) -> String {
    for (file, text) in files {
      let path = directory.file("\(name)/\(file)")
      Files.makeDirectories(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
      TestFile.write(Array(text.utf8), to: path)
    }
    return directory.file(name)
  }

  @Test(
    arguments: [
      ("0", 0, 0, []), ("1000", 1000, 0, []), ("1000:7", 1000, 7, []), ("app", 5, 6, [44]), ("app:video", 5, 44, []),
      ("app:9", 5, 9, []), ("5", 5, 6, [44]), ("4000000000:1", 4_000_000_000, 1, []),
    ] as [(String, UInt32, UInt32, [UInt32])])
  func aUserIsFound(_ text: String, _ user: UInt32, _ group: UInt32, _ groups: [UInt32]) {
    let files = ["etc/passwd": "root:x:0:0::/:/bin/sh\nbroken\napp:x:5:6::/:\n", "etc/group": "video:x:44:other,app\n"]
    let lookup = UserLookup(roots: [root("top", [:]), root("image", files)])
    #expect(lookup.resolve(.named(text)) == ResolvedUser(user: user, group: group, groups: groups))
  }

  @Test(arguments: ["", "nobody", "app:nogroup", "-1", "99999999999", ":5"])
  func aUserIsNotFound(_ text: String) {
    let lookup = UserLookup(roots: [root("image", ["etc/passwd": "app:x:5:6::/:\n"])])
    #expect(lookup.resolve(.named(text)) == nil)
  }

  @Test func aUserFileThatIsALinkIsNotFollowedOutOfTheImage() {
    let image = root("image", ["etc/other": ""])
    let outside = root("outside", ["passwd": "spy:x:5:6::/:\n"])
    symlink(outside + "/passwd", image + "/etc/passwd")
    #expect(UserLookup(roots: [image]).resolve(.named("spy")) == nil)
  }

  @Test func aUserFileDeletedInAnUpperLayerIsGone() {
    guard getuid() == 0 else {
      print("not root: no whiteout can be made")
      return
    }
    let image = root("image", ["etc/passwd": "app:x:5:6::/:\n"])
    let top = root("top", ["etc/other": ""])
    mknod(top + "/etc/passwd", S_IFCHR, 0)
    #expect(UserLookup(roots: [top, image]).resolve(.named("app")) == nil)
  }

  @Test func resolversOnTheHostsLoopbackAreLeftOut() {
    let text = "# made by hand\nsearch example.com\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\n"
    #expect(WorkloadPreparation.resolvers(text) == "search example.com\nnameserver 192.0.2.1\n")
    #expect(WorkloadPreparation.resolvers(nil) == "")
  }

  @Test func theEndWrittenDownIsReadBack() {
    let place = WorkloadDirectory(path: directory.path)
    #expect(place.readEnd() == nil)
    for (text, end) in [
      ("exited 7 0 0\n", WorkloadEvent.exited(code: 7)), ("exited -1 15 0\n", .exited(signal: 15)),
      ("exited -1 9 1\n", .exited(WorkloadExit(signal: 9, outOfMemory: true))),
    ] {
      TestFile.write(Array(text.utf8), to: place.file("exit"))
      #expect(place.readEnd() == end)
    }
    for text in ["", "exited\n", "exited a b c\n", "other 1 2 3\n"] {
      TestFile.write(Array(text.utf8), to: place.file("exit"))
      #expect(place.readEnd() == nil)
    }
  }

  @Test func aProbesPreludeIsReadBack() {
    let place = WorkloadDirectory(path: directory.path)
    let probe = WorkloadDirectory.Probe(
      environment: ["A=1", "B=x y"], entry: WorkloadDirectory.Probe.Steps(bytes: [10, 32, 0], count: 1),
      privileges: WorkloadDirectory.Probe.Steps(bytes: [0, 10, 0, 1], count: 3), user: 1_000)
    #expect(place.write(probe) == 0)
    #expect(place.readProbe() == probe)
  }

  @Test func capabilitiesHaveTheKernelsNumbers() {
    #expect(Capability.numbers.count == 41)
    #expect(Set(Capability.numbers.values) == Set(0...40))
    #expect(Capability.normalized("cap_net_bind_service") == "NET_BIND_SERVICE")
    #expect(Capability.normalized("NET_EVERYTHING") == nil)
    #expect(Capability.mask(["CHOWN", "SYS_ADMIN"]) == 1 | 1 << 21)
    #expect(Capability.mask(["NOTHING"]) == nil)
  }
}
