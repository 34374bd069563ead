import Testing
import WherryModel
import WherryRecipe

@Suite("RecipeReader: limits and clocks")
struct ContainerResourceTests {
  @Test func rareOptionsAreRead() throws {
    let recipe = try sound(
      container(
        """
        Image: a:1
        Clocks: { Monotonic: -1h, boot: 1500ms }
        Stdin: true
        Egress: ["[2001:db8::/32]:443/tcp"]
        Resources:
          DiskLimits: [{ Device: /dev/sda, Read: 10MiB }, { writeoperations: 7 }]
          HugePages: { 2MB: 4MiB, 1gb: 0 }
        """))
    let spec = try #require(recipe.manifests[0].container)
    #expect(spec.clocks == ClockOffsets(monotonic: -3_600_000, boot: 1500) && spec.hasInput)
    #expect(spec.egress?.map(\.description) == ["[2001:db8::/32]:443/tcp"])
    #expect(spec.resources.hugePages == [2 << 20: 4 << 20, 1 << 30: 0])
    #expect(spec.resources.diskLimits.map(\.device) == ["/dev/sda", nil])
    #expect(spec.resources.diskLimits[0].readBytes == 10 << 20 && spec.resources.diskLimits[1].writeOperations == 7)
  }

  @Test(arguments: [
    ("Clocks: { Boot: soon }", "is not a time"),
    ("Resources: { DiskLimits: [{ Device: /dev/sda }] }", "limits nothing"),
    ("Resources: { DiskLimits: [{ Read: fast }] }", "is not an amount of bytes"),
    ("Resources: { HugePages: { 3MB: 1MiB } }", "is not a size of pages"),
  ])
  func othersAreRefused(_ line: String, _ words: String) {
    let found = problems(container("Image: a:1\n" + line))
    #expect(found.count == 1 && found.first?.contains(words) == true, "\(found)")
  }
}
