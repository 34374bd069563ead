import Glibc

/// libarchive asks the locale what names are in, and in the C locale gives none that is not ASCII. While this lives,
/// the thread that made it is in one where they are UTF-8; the same thread has to let go of it.
final class UTF8Locale {
  private let locale = newlocale(Int32(LC_CTYPE_MASK), "C.UTF-8", nil)
  private let before: locale_t?

  init() { before = uselocale(locale) }

  deinit {
    uselocale(before)
    if let locale { freelocale(locale) }
  }
}
