import CFaultDisk
import Glibc
import WherryTestSupport

/// What one database's files went through, and the disk as a power cut leaves it.
struct FaultDisk {
  static let suffixes = ["", "-wal", "-journal"]
  /// Writes are torn at such borders only.
  private static let sectorBytes = 512

  private let operations: [fault_disk_operation]

  /// Of the recording that goes on; its bytes are valid until the next one begins.
  init() { operations = (0..<fault_disk_count()).map(fault_disk_operation_at) }

  var count: Int { operations.count }

  /// The files as they are after `cut` operations. With `dice` the power fails there: of what was not synced each
  /// write may be there, be lost, or be torn, whatever came after it. Without, only the agent was killed.
  func files(at cut: Int, dice: inout Dice, losesUnsynced: Bool) -> [[UInt8]?] {
    var synced = [0, 0, 0]
    for (index, operation) in operations.prefix(cut).enumerated() where operation.kind == FAULT_DISK_SYNC.rawKind {
      synced[Int(operation.file)] = index
    }
    var files: [[UInt8]?] = [nil, nil, nil]
    for (index, operation) in operations.prefix(cut).enumerated() {
      let file = Int(operation.file)
      var share = operation.length
      let isSafe = !losesUnsynced || index < synced[file]
      switch operation.kind {
      case FAULT_DISK_CREATE.rawKind: files[file] = files[file] ?? []
      case FAULT_DISK_DELETE.rawKind: if isSafe || operation.offset != 0 || dice.roll(2) == 0 { files[file] = nil }
      case FAULT_DISK_TRUNCATE.rawKind:
        if isSafe || dice.roll(2) == 0 { files[file]?.resize(to: Int(operation.offset)) }
      case FAULT_DISK_WRITE.rawKind:
        if !isSafe {
          switch dice.roll(3) {
          case 0: continue
          case 1: share = dice.roll(operation.length / Self.sectorBytes + 1) * Self.sectorBytes
          default: break
          }
        }
        let bytes = UnsafeBufferPointer(start: operation.bytes, count: min(share, operation.length))
        files[file]?.put(bytes, at: Int(operation.offset))
      default: break
      }
    }
    return files
  }

  /// Lays the files out; `path` is the database's.
  static func write(_ files: [[UInt8]?], to path: String) {
    for (suffix, bytes) in zip(suffixes, files) {
      unlink(path + suffix)
      if let bytes { TestFile.write(bytes, to: path + suffix) }
    }
    unlink(path + "-shm")
  }
}

extension fault_disk_kind {
  fileprivate var rawKind: Int32 { Int32(rawValue) }
}

extension [UInt8] {
  fileprivate mutating func resize(to length: Int) {
    guard count != length else { return }
    var other = [UInt8](repeating: 0, count: length)
    let kept = Swift.min(count, length)
    other.withUnsafeMutableBytes { target in
      withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(kept))) }
    }
    self = other
  }

  fileprivate mutating func put(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int) {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    if count < offset + bytes.count { resize(to: offset + bytes.count) }
    withUnsafeMutableBytes { $0.baseAddress?.advanced(by: offset).copyMemory(from: source, byteCount: bytes.count) }
  }
}

/// The same seed, the same rolls.
struct Dice {
  private var state: UInt64
  init(seed: Int) { state = UInt64(bitPattern: Int64(seed)) &* 7_919 &+ 1 }

  mutating func roll(_ sides: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(max(1, sides)))
  }
}
