import Glibc
import Testing
import WherryModel
import WherryTestSupport

@testable import WherryIsolation

@Suite struct DeviceFilterTests {
  private func rule(
    _ isAllowed: Bool, _ type: String = "a", _ major: Int64? = nil, _ minor: Int64? = nil, _ access: String = "rwm"
  ) -> DeviceRule { DeviceRule(isAllowed: isAllowed, type: type, major: major, minor: minor, access: access) }

  /// Runs a program as the kernel would: the verdict on one request.
  private func verdict(_ filter: DeviceFilter, _ type: Int64, _ access: Int64, _ major: Int64, _ minor: Int64) -> Int64?
  {
    var registers = [Int64](repeating: 0, count: 11)
    let context = [0: type | access << 16, 4: major, 8: minor]
    var place = 0
    while filter.instructions.indices.contains(place) {
      let instruction = filter.instructions[place]
      let (target, source) = (Int(instruction.target), Int(instruction.source))
      let value = Int64(instruction.value)
      place += 1
      switch instruction.code {
      case 0x61: registers[target] = context[Int(instruction.offset)] ?? 0
      case 0xbf: registers[target] = registers[source]
      case 0xb7: registers[target] = value
      case 0x57: registers[target] &= value
      case 0x77: registers[target] >>= value
      case 0x15: if registers[target] == value { place += Int(instruction.offset) }
      case 0x55: if registers[target] != value { place += Int(instruction.offset) }
      case 0x5d: if registers[target] != registers[source] { place += Int(instruction.offset) }
      case 0x95: return registers[0]
      default: return nil
      }
    }
    return nil
  }

  @Test func theLastRuleThatFitsCounts() {
    let filter = DeviceFilter([
      rule(false), rule(true, "c", 10), rule(true, "c", 1, 3, "rw"), rule(false, "c", 10, 7, "w"),
    ])
    let (block, character, make, read, write) = (Int64(1), Int64(2), Int64(1), Int64(2), Int64(4))
    #expect(verdict(filter, block, read, 8, 0) == 0, "nothing is about it but the first")
    #expect(verdict(filter, character, read | write, 10, 5) == 1)
    #expect(verdict(filter, block, read, 10, 5) == 0, "another kind")
    #expect(verdict(filter, character, read | write, 1, 3) == 1)
    #expect(verdict(filter, character, make, 1, 3) == 0, "it may be used, not made")
    #expect(verdict(filter, character, read, 10, 7) == 1 && verdict(filter, character, read | write, 10, 7) == 0)
    #expect(verdict(DeviceFilter([]), block, write, 8, 0) == 1)
  }

  @Test func anInstructionLiesInMemoryAsTheKernelReadsIt() {
    let instruction = DeviceFilter.Instruction(code: 0x55, target: 2, source: 1, offset: -2, value: 258)
    #expect(instruction.bytes == [0x55, 0x12, 0xfe, 0xff, 2, 1, 0, 0])
  }

  @Test func theKernelKeepsIt() throws {
    let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].first { Files.exists($0 + "/cgroup.controllers") }
    guard geteuid() == 0, let root else { return print("skipped: device filters need root and a cgroup v2") }
    let cgroup = "\(root)/wherry-device-test-\(getpid())"
    try #require(mkdir(cgroup, 0o755) == 0)
    defer { rmdir(cgroup) }
    try DeviceFilter([rule(false), rule(true, "c", 1, 3)]).attach(to: cgroup)
    let script = "echo $$ > \(cgroup)/cgroup.procs; echo x > /dev/null && echo null; head -c 1 /dev/zero > /dev/null"
    let run = try #require(ChildProcess.run("/bin/sh", ["-c", script + " 2> /dev/null || echo refused"]))
    #expect(run.output == "null\nrefused\n", "\(run.output)")
  }
}
