import Glibc
import WherryJSON
import WherryModel
import WherrySystem

// wherry-fetch: what the resident agent does not do itself because it needs large libraries or touches hostile bytes.
// Short-lived. One job as JSON on standard input, one event as JSON per line on standard output; exit 0 when all of
// it is done, 1 after exactly one event "failed".

signal(SIGPIPE, SIG_IGN)

let usage = """
  usage: wherry-fetch download | unpack | exchange < JOB

  Started by wherry-agent; reads one job as JSON on standard input and prints one event as JSON per line.
    download   fetches blobs by digest into the store, resumes, verifies
    unpack     unpacks layers and archives without network, seeing only their target
    exchange   sends one HTTP request and prints the answer

  """

func run(_ mode: String) throws(Failure) {
  switch mode {
  case "download": try DownloadMode(job: Job.worker.read()).run()
  case "unpack": try UnpackMode(job: Job.worker.read()).run()
  case UnpackItemMode.name: try UnpackItemMode(job: Job.worker.read()).run()
  case "exchange": try ExchangeMode(job: Job.worker.read()).run()
  default:
    throw Failure(
      .internalError, code: "worker.usage", message: "wherry-fetch has no mode \"\(mode.prefix(40))\"",
      remedy: "use one of download, unpack, exchange")
  }
}

switch CommandLine.arguments.dropFirst().first {
case nil:
  WorkerOutput.error(usage)
  exit(2)
case "--help", "-h": WorkerOutput.line(usage)
case let mode?:
  do throws(Failure) { try run(mode) } catch {
    WorkerOutput.event(["failed": Job.json(of: error)])
    exit(1)
  }
}
