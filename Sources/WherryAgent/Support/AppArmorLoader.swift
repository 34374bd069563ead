import Glibc
import WherryIsolation

/// Gives the kernel the profile of containers, where it has AppArmor and the program that compiles profiles.
enum AppArmorLoader {
  private static let programs = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"]

  /// Once after each start of the machine; it takes some tenths of a second.
  static func load(runDirectory: String, _ log: AgentLog) {
    guard AppArmor.isThere, !AppArmor.isLoaded(AppArmor.ownProfile),
      let program = programs.first(where: { access($0, X_OK) == 0 })
    else { return }
    let file = "\(runDirectory)/\(AppArmor.ownProfile)"
    do {
      try Files.write(Array(AppArmor.ownProfileText.utf8), to: file, mode: 0o600)
      let null = open("/dev/null", O_RDWR | O_CLOEXEC)
      defer { close(null) }
      let pid = try Spawn.start([program, "--replace", "--skip-cache", file], input: null, output: null)
      var status: Int32 = 0
      while waitpid(pid, &status, 0) < 0, errno == EINTR {}
      guard status == 0 else {
        return log.warning("the AppArmor profile of containers is not loaded", ["why": "\(program) refused it"])
      }
      log.info("loaded the AppArmor profile of containers", ["profile": AppArmor.ownProfile])
    } catch {
      log.warning("the AppArmor profile of containers is not loaded", ["why": "\(error)"])
    }
  }
}
