import COpenSSL

/// Unpredictable bytes from the operating system's generator.
package func randomBytes(_ count: Int) -> [UInt8] {
  CryptoLibrary.prepare()
  var bytes = [UInt8](repeating: 0, count: count)
  guard count > 0 else { return bytes }
  // Going on with predictable tokens or keys would be worse than stopping.
  precondition(RAND_bytes(&bytes, Int32(count)) == 1, "the system's random generator failed")
  return bytes
}

/// Compares without telling by its duration where the first difference is. Lengths are not secret.
package func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
}
