/// Profiles that the host has loaded (apparmor(7)).
enum AppArmor {
  static var isThere: Bool { Files.exists("/sys/kernel/security/apparmor/profiles") }

  /// Of the program that is executed next.
  static func step(_ profile: String) -> LaunchProgram.Step {
    LaunchProgram.Step(
      words: "choose the AppArmor profile \(profile)",
      operation: .writeFile(path: "/proc/self/attr/apparmor/exec", text: "exec \(profile)", mayFail: false))
  }
}
