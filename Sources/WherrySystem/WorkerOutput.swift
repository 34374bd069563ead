import Glibc
import WherryJSON

/// Standard output of a short-lived worker: one event per line, unbuffered.
package enum WorkerOutput {
  package static func event(_ json: JSON) { line(json.canonical + "\n") }

  package static func line(_ text: String) {
    // Nobody listens any more: whoever started this is gone, and the work with it.
    guard Descriptor.write(Array(text.utf8), to: STDOUT_FILENO) == 0 else { exit(1) }
  }

  package static func error(_ text: String) { Descriptor.write(Array(text.utf8), to: STDERR_FILENO) }
}
