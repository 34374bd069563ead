import WherryModel

extension RecipeNode {
  /// Of a container, or of a process component beside its Lifecycle.
  func resources() -> Resources {
    var resources = Resources()
    let keys = ["Cpus", "Memory", "Pids", "Processors", "Swap", "DiskWeight", "DiskLimits", "HugePages"]
    guard let fields = fields(keys, of: "Resources") else { return resources }
    if let node = fields["Cpus"], let text = node.text() {
      resources.cpuMillis = Quantity.millis(text)
      if resources.cpuMillis == nil {
        node.report("\"\(text.clipped)\" is not a number of CPUs", "write a number such as 0.5 or 2")
      }
    }
    if let node = fields["Memory"], let text = node.text() {
      resources.memoryBytes = Quantity.bytes(text)
      if let bytes = resources.memoryBytes, bytes < 1 << 20 {
        node.report("a memory limit of \(bytes) bytes is too small to start a program", "give at least 1MiB")
      } else if resources.memoryBytes == nil {
        node.report("\"\(text.clipped)\" is not an amount of memory", "write one with its unit, such as 64MiB or 1GB")
      }
    }
    resources.pids = fields["Pids"]?.integer(1...4_194_304)
    resources.processors = fields["Processors"]?.processors()
    resources.diskWeight = fields["DiskWeight"]?.integer(1...10_000)
    if let node = fields["Swap"], let text = node.text() {
      resources.swapBytes = Quantity.bytes(text)
      if resources.swapBytes == nil {
        node.report("\"\(text.clipped)\" is not an amount of swap", "write one with its unit, such as 64MiB, or 0")
      } else if resources.memoryBytes == nil {
        node.report("Swap is what there is beside a limit of memory", "give Memory, too")
      }
    }
    resources.diskLimits = fields["DiskLimits"]?.list()?.compactMap { $0.diskLimit() } ?? []
    if let node = fields["HugePages"] { resources.hugePages = node.hugePages() }
    return resources
  }

  private func diskLimit() -> DiskLimit? {
    let keys = ["Device", "Read", "Write", "ReadOperations", "WriteOperations"]
    guard let fields = fields(keys, of: "a disk limit") else { return nil }
    var limit = DiskLimit(device: fields["Device"]?.absolutePath())
    limit.readBytes = fields["Read"]?.bytesPerSecond()
    limit.writeBytes = fields["Write"]?.bytesPerSecond()
    limit.readOperations = fields["ReadOperations"]?.integer(1...1_000_000_000).map(Int64.init)
    limit.writeOperations = fields["WriteOperations"]?.integer(1...1_000_000_000).map(Int64.init)
    if !keys.dropFirst().contains(where: fields.has) {
      report("this limits nothing", "give Read or Write, such as 10MiB for each second, or ReadOperations")
    }
    return limit
  }

  private func bytesPerSecond() -> Int64? {
    guard let text = text() else { return nil }
    if let bytes = Quantity.bytes(text), bytes > 0 { return bytes }
    report("\"\(text.clipped)\" is not an amount of bytes", "write what a second may have, such as 10MiB")
    return nil
  }

  private func hugePages() -> [Int64: Int64] {
    var pages: [Int64: Int64] = [:]
    for (key, value, keyNode) in pairs() ?? [] {
      guard let size = HugePageSize.bytes(key.uppercased()) else {
        keyNode.report("\"\(key.clipped)\" is not a size of pages", "write 2MB, 1GB or another that the kernel has")
        continue
      }
      guard let text = value.text() else { continue }
      guard let bytes = Quantity.bytes(text) else {
        value.report("\"\(text.clipped)\" is not an amount of memory", "write one with its unit, such as 64MiB, or 0")
        continue
      }
      pages[size] = bytes
    }
    return pages
  }

  /// `{ Monotonic: -1h, Boot: 30s }`: what they show beside the host's.
  func clocks() -> ClockOffsets? {
    guard let fields = fields(["Monotonic", "Boot"], of: "Clocks") else { return nil }
    return ClockOffsets(monotonic: fields["Monotonic"]?.offset() ?? 0, boot: fields["Boot"]?.offset() ?? 0)
  }

  private func offset() -> Int64? {
    guard let text = text() else { return nil }
    let isBefore = text.hasPrefix("-")
    if let milliseconds = Quantity.milliseconds(isBefore ? String(text.dropFirst()) : text) {
      return isBefore ? -milliseconds : milliseconds
    }
    report("\"\(text.clipped)\" is not a time", "write one with its unit, such as 30s, 12h or -1h")
    return nil
  }
}
