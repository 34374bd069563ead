import WherryModel

/// Content by digest. What is in it is whole and verified; there is no half of a blob. `BlobStoreContract` is its
/// definition: every implementation passes it.
package protocol BlobStore: AnyObject {
  func contains(_ digest: Digest) -> Bool
  /// nil when absent.
  func size(of digest: Digest) -> Int64?
  /// Ascending.
  func all() throws(Failure) -> [Digest]
  /// Adds bytes under their digest; refused, leaving nothing, when they have another. Adding again is no error.
  func add(_ bytes: [UInt8], as digest: Digest) throws(Failure)
  /// nil when absent.
  func bytes(of digest: Digest) throws(Failure) -> [UInt8]?
  /// Removing what is absent is no error.
  func remove(_ digest: Digest) throws(Failure)
}
