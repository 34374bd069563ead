import Glibc

/// What a deployment allocated goes back to the kernel: glibc would keep it for a next time that may be weeks away.
enum Memory {
  private typealias Trim = @convention(c) (Int) -> Int32
  private typealias Option = @convention(c) (Int32, Int32) -> Int32

  static func trim() {
    guard let symbol = dlsym(nil, "malloc_trim") else { return }
    _ = unsafeBitCast(symbol, to: Trim.self)(0)
  }

  /// One arena for the one thread, before anything is allocated.
  static func prepare() {
    guard let symbol = dlsym(nil, "mallopt") else { return }
    let arenaMaximum: Int32 = -8
    _ = unsafeBitCast(symbol, to: Option.self)(arenaMaximum, 1)
  }
}
