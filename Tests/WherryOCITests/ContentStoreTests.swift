import Testing
import WherryCrypto
import WherryModel
import WherryTestSupport

@testable import WherryOCI

/// The fake: what a store is, without files.
final class MemoryBlobStore: BlobStore {
  private var blobs: [Digest: [UInt8]] = [:]
  func contains(_ digest: Digest) -> Bool { blobs[digest] != nil }
  func size(of digest: Digest) -> Int64? { blobs[digest].map { Int64($0.count) } }
  func all() throws(Failure) -> [Digest] { blobs.keys.sorted() }
  func add(_ bytes: [UInt8], as digest: Digest) throws(Failure) {
    guard SHA256.digest(of: bytes) == digest else {
      throw Failure(.verify, code: "blob.digestMismatch", message: "content with another digest")
    }
    blobs[digest] = bytes
  }
  func bytes(of digest: Digest) throws(Failure) -> [UInt8]? { blobs[digest] }
  func remove(_ digest: Digest) throws(Failure) { blobs[digest] = nil }
}

/// What every blob store does; fake and real pass the same tests.
@Suite struct BlobStoreContract {
  enum Kind: CaseIterable { case memory, directory }

  private let directory = TemporaryDirectory()

  private func store(_ kind: Kind) throws -> any BlobStore {
    switch kind {
    case .memory: MemoryBlobStore()
    case .directory: try ContentStore(root: directory.file("blobs"))
    }
  }

  @Test(arguments: Kind.allCases) func whatWasAddedIsThereWhole(_ kind: Kind) throws {
    let store = try store(kind)
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
    let digest = SHA256.digest(of: bytes)
    #expect(!store.contains(digest))
    #expect(store.size(of: digest) == nil)
    #expect(try store.bytes(of: digest) == nil)
    try store.add(bytes, as: digest)
    #expect(store.contains(digest))
    #expect(store.size(of: digest) == 100_000)
    #expect(try store.bytes(of: digest) == bytes)
  }

  @Test(arguments: Kind.allCases) func theEmptyBlobIsABlob(_ kind: Kind) throws {
    let store = try store(kind)
    try store.add([], as: SHA256.digest(of: []))
    #expect(store.size(of: SHA256.digest(of: [])) == 0)
  }

  @Test(arguments: Kind.allCases) func addingTwiceIsAddingOnce(_ kind: Kind) throws {
    let store = try store(kind)
    let digest = SHA256.digest(of: [1, 2, 3])
    try store.add([1, 2, 3], as: digest)
    try store.add([1, 2, 3], as: digest)
    #expect(try store.all() == [digest])
  }

  @Test(arguments: Kind.allCases) func contentUnderAnotherDigestIsRefused(_ kind: Kind) throws {
    let store = try store(kind)
    let digest = SHA256.digest(of: [1])
    let failure = #expect(throws: Failure.self) { try store.add([2], as: digest) }
    #expect(failure?.code == "blob.digestMismatch")
    #expect(try store.all().isEmpty)
  }

  @Test(arguments: Kind.allCases) func allListsInOrderAndRemovingForgets(_ kind: Kind) throws {
    let store = try store(kind)
    let digests = (UInt8(0)..<20).map { SHA256.digest(of: [$0]) }
    for (byte, digest) in digests.enumerated() { try store.add([UInt8(byte)], as: digest) }
    #expect(try store.all() == digests.sorted())
    try store.remove(digests[3])
    try store.remove(digests[3])
    #expect(!store.contains(digests[3]))
    #expect(try store.all().count == 19)
  }
}

@Suite struct ContentStoreTests {
  private let directory = TemporaryDirectory()

  @Test func aPartialFileIsNotABlob() throws {
    let store = try ContentStore(root: directory.file("blobs"))
    let digest = SHA256.digest(of: [1, 2, 3])
    TestFile.write([1, 2], to: store.partialPath(of: digest))
    #expect(!store.contains(digest))
    #expect(try store.all().isEmpty)
  }

  @Test func committingMovesTheFileInAndAnotherStoreSeesIt() throws {
    let store = try ContentStore(root: directory.file("blobs"))
    let digest = SHA256.digest(of: [1, 2, 3])
    TestFile.write([1, 2, 3], to: store.partialPath(of: digest))
    try store.commit(partial: store.partialPath(of: digest), digest: digest)
    #expect(!TestFile.exists(store.partialPath(of: digest)))
    #expect(try ContentStore(root: directory.file("blobs")).bytes(of: digest) == [1, 2, 3])
  }

  @Test func foreignFilesAreNotListed() throws {
    let store = try ContentStore(root: directory.file("blobs"))
    TestFile.write([1], to: directory.file("blobs/sha256/README"))
    #expect(try store.all().isEmpty)
  }

  @Test func unwantedPartialsAreRemoved() throws {
    let store = try ContentStore(root: directory.file("blobs"))
    let (wanted, unwanted) = (SHA256.digest(of: [1]), SHA256.digest(of: [2]))
    for digest in [wanted, unwanted] { TestFile.write([0], to: store.partialPath(of: digest)) }
    try store.removePartials(except: [wanted])
    #expect(TestFile.exists(store.partialPath(of: wanted)))
    #expect(!TestFile.exists(store.partialPath(of: unwanted)))
  }

  @Test func aRootThatCannotBeMadeIsNamed() {
    let failure = #expect(throws: Failure.self) { try ContentStore(root: "/proc/no-such/blobs") }
    #expect(failure?.message.contains("/proc/no-such/blobs") == true)
  }
}
