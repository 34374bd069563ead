/// One file, directory or symbolic link of a layer that is being made.
package struct LayerEntry: Hashable, Sendable {
  package enum Content: Hashable, Sendable {
    case directory
    case text(String)
    /// The bytes of a file on this machine.
    case file(path: String, size: Int64)
    /// Where a symbolic link leads.
    case link(String)
  }

  /// In the image, without a slash in front: `srv/app/main.py`.
  package var path: String
  package var content: Content
  /// The lower 12 bits of st_mode.
  package var mode: UInt32
  package var user: Int64
  package var group: Int64

  package init(path: String, content: Content, mode: UInt32, user: Int64 = 0, group: Int64 = 0) {
    self.path = path
    self.content = content
    self.mode = mode
    self.user = user
    self.group = group
  }
}
