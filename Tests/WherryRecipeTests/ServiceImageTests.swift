import Testing
import WherryModel

@Suite("RecipeReader: images of the service's own registry")
struct ServiceImageTests {
  private static let hex = String(repeating: "ab", count: 32)

  @Test(
    "are read as they are written",
    arguments: [
      "wherry:web", "wherry:web:1.4", "wherry:team/web:1.4", "wherry:team/my-app_2/web.x:Tag_1.2-3",
      "wherry:team/web@sha256:\(hex)", "wherry:team/web:1@sha256:\(hex)",
    ])
  func right(image: String) throws {
    let recipe = try sound(container("Image: \(image)"))
    #expect(recipe.manifests[0].container?.image == image)
  }

  @Test(
    "what is none is told with its place and the right form",
    arguments: [
      "wherry:", "wherry:/web", "wherry:web/", "wherry:Team/web", "wherry:web:", "wherry:web:-x", "wherry:a:b:c",
      "wherry:web@sha256:12", "wherry:web@", "wherry:te%61m/web",
    ])
  func wrong(image: String) {
    let problem = problems(container("Image: \"\(image)\"")).first
    #expect(
      problem == "line 7, column 14 (/Manifests/0/Container/Image): \"\(image)\" is not an image of the service's own "
        + "registry; write wherry:REPOSITORY:TAG or wherry:REPOSITORY@DIGEST, such as wherry:team/web:1.4")
  }
}
