import Glibc

// wherry-docker: what components find as `docker` on their PATH. It decides nothing: it asks the agent over the socket
// that lies beside it in the component's own view, and carries a container's output to where its own goes.

signal(SIGPIPE, SIG_IGN)
exit(DockerProgram(Array(CommandLine.arguments.dropFirst())).run())
