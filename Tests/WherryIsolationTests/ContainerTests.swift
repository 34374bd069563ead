import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

@Suite struct ContainerTests {
  @Test func aContainerRunsItsProgramAndTellsItsExitCode() throws {
    guard let bench = Workbench(#function) else { return }
    let (end, output) = try bench.run(bench.container("a.run", ["sh", "-c", "echo hello; echo bad >&2; exit 7"]))
    #expect(end == .exited(code: 7))
    #expect(Set(output) == ["hello", "bad"])
  }
}
