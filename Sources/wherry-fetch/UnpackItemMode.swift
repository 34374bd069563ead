import Glibc
import WherryJSON
import WherryModel
import WherryOCI
import WherrySystem

/// One archive, already open, into one directory, with everything else given up first.
struct UnpackItemMode {
  static let name = "unpack-item"
  private let job: UnpackJob

  init(job cursor: JSONCursor) throws(Failure) {
    job = try Job.worker.decode { () throws(JSONShapeError) in try UnpackJob(cursor) }
  }

  func run() throws(Failure) {
    // Files get the modes that they shall have by their making.
    umask(0)
    let unpacker = LayerUnpacker(label: job.label, limits: job.limits)
    let needsOwners = if case .layer = job.content { true } else { false }
    let root = try Confinement.enter(job.destination, keepsOwners: needsOwners)
    let summary: LayerUnpacker.Summary
    switch job.content {
    case .layer(let compression, let diffID):
      summary = try unpacker.unpack(
        layer: ChildWorker.inheritedDescriptor, compression: compression, diffID: diffID, into: root)
    case .archive(let format, let digest, let size):
      summary = try unpacker.unarchive(
        ChildWorker.inheritedDescriptor, format: format, digest: digest, size: size, into: root)
    }
    WorkerOutput.event(["unpacked": ["entries": .integer(Int64(summary.entries)), "bytes": .integer(summary.bytes)]])
  }
}
