import Glibc
import Testing
import WherryIsolation
import WherryTestSupport

@testable import WherryAgent

@Suite struct AppArmorLoaderTests {
  @Test func theProfileIsThereAfterwards() {
    let directory = TemporaryDirectory()
    let isPossible = AppArmor.isThere && access("/sbin/apparmor_parser", X_OK) == 0 && geteuid() == 0
    AppArmorLoader.load(runDirectory: directory.path, AgentLog(level: .error))
    guard isPossible else {
      print("\(#function): no AppArmor or no apparmor_parser on this host, nothing to test")
      return
    }
    #expect(AppArmor.isLoaded(AppArmor.ownProfile))
  }
}
