import Glibc
import WherryAgent

exit(AgentProgram.run(CommandLine.arguments))
