import Glibc

exit(OCIRuntime.run(CommandLine.arguments))
