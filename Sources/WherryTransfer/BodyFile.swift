import Glibc

/// A file that is sent as a request's body.
final class BodyFile {
  private let descriptor: Int32
  let size: Int64

  init(path: String) throws(TransferError) {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    var status = stat()
    guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
      let reason = String(cString: strerror(errno))
      if descriptor >= 0 { close(descriptor) }
      throw TransferError(
        .localFile, "\(path) cannot be read: \(reason)", remedy: "check that it exists and may be read")
    }
    size = Int64(status.st_size)
  }

  deinit { close(descriptor) }

  /// nil on a read error.
  func read(into bytes: UnsafeMutableRawPointer, count: Int) -> Int? {
    let got = Glibc.read(descriptor, bytes, count)
    return got < 0 ? nil : got
  }

  func rewind(to offset: Int64) -> Bool { lseek(descriptor, off_t(offset), SEEK_SET) == off_t(offset) }
}
