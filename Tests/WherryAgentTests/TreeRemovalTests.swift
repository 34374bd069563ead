import Glibc
import Testing
import WherryTestSupport

@testable import WherryAgent

/// Root removes what others own and may change meanwhile.
@Suite struct TreeRemovalTests {
  private let directory = TemporaryDirectory()

  private func fill(_ path: String, count: Int) {
    TestFiles.makeDirectories(directory.file(path))
    for number in 0..<count { TestFile.write([1], to: directory.file("\(path)/f\(number)")) }
  }

  private func count(_ path: String) -> Int { Files.names(in: directory.file(path)).count }

  private func finish(_ removal: TreeRemoval) throws {
    for _ in 0..<10_000 {
      if try removal.step() { return }
    }
    Issue.record("it does not come to an end")
  }

  @Test func removesWideAndDeepTreesInPieces() throws {
    fill("tree", count: 600)
    fill("tree/a/.removed-1/b", count: 300)
    let deep = "tree/" + String(repeating: "d/", count: 200)
    fill(deep, count: 2)
    let removal = TreeRemoval(directory.file("tree"))
    #expect(try !removal.step(), "in more than one piece")
    try finish(removal)
    #expect(!TestFile.exists(directory.file("tree")))
  }

  @Test func aFileOrNothingIsRemovedAtOnce() throws {
    TestFile.write([1], to: directory.file("file"))
    #expect(try TreeRemoval(directory.file("file")).step())
    #expect(!TestFile.exists(directory.file("file")))
    #expect(try TreeRemoval(directory.file("file")).step())
  }

  @Test func aLinkIsRemovedAndNotFollowed() throws {
    fill("victim", count: 3)
    TestFiles.makeDirectories(directory.file("tree/a"))
    symlink(directory.file("victim"), directory.file("tree/link"))
    symlink(directory.file("victim"), directory.file("tree/a/link"))
    try finish(TreeRemoval(directory.file("tree")))
    #expect(!TestFile.exists(directory.file("tree")))
    symlink(directory.file("victim"), directory.file("top"))
    try finish(TreeRemoval(directory.file("top")))
    #expect(count("victim") == 3)
  }

  @Test func aDirectoryThatBecomesALinkMeanwhileLeadsNowhere() throws {
    fill("victim", count: 300)
    fill("tree/inner", count: 300)
    let removal = TreeRemoval(directory.file("tree"))
    for _ in 0..<10 where count("tree/inner") == 300 { #expect(try !removal.step()) }
    #expect((1..<300).contains(count("tree/inner")), "in the midst of it")
    #expect(rename(directory.file("tree/inner"), directory.file("aside")) == 0)
    symlink(directory.file("victim"), directory.file("tree/inner"))
    try finish(removal)
    #expect(count("victim") == 300)
    #expect(!TestFile.exists(directory.file("tree")))
  }

  @Test func theNamesInALinkAreNotLookedAt() {
    fill("victim", count: 3)
    symlink(directory.file("victim"), directory.file("link"))
    #expect(Files.names(in: directory.file("link")).isEmpty)
    #expect(Files.names(in: directory.file("victim")) == ["f0", "f1", "f2"])
  }
}
