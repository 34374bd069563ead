import Testing
import WherryModel

@testable import WherryLifecycle

@Suite struct WorkloadIDTests {
  @Test func itIsReadAsItIsWritten() {
    let id = WorkloadID("com.example.web", .run)
    #expect(id.description == "com.example.web.run")
    #expect(WorkloadID("com.example.web.run") == id)
  }

  @Test(arguments: ["", "run", ".run", "web.", "web.fly", "we/b.run", "web"])
  func nonsenseIsNotRead(text: String) {
    #expect(WorkloadID(text) == nil)
  }
}
