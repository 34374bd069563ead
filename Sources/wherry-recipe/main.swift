import Glibc
import WherryJSON
import WherryModel
import WherryRecipe
import WherrySystem
import WherryWire

// wherry-recipe: recipes as people write them (YAML or JSON) to the canonical JSON that a device works with, for local
// deployments. Short-lived, without rights, without files: one job as JSON on standard input, one event as JSON per
// line on standard output; exit 0 when every recipe was readable, 1 otherwise.

signal(SIGPIPE, SIG_IGN)

let usage = """
  usage: wherry-recipe convert < JOB

  Started by `wherry-agent deploy`; reads one job as JSON on standard input and prints one event as JSON per line.
    convert    reads recipes of the Greengrass format and prints them in their canonical form

  """

switch CommandLine.arguments.dropFirst().first {
case "convert": exit(Conversion.run())
case "--help", "-h": WorkerOutput.line(usage)
default:
  WorkerOutput.error(usage)
  exit(2)
}
