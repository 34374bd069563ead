import Testing
import WherryJSON
import WherryModel
import WherryPlanning

private let context = InterpolationContext(
  thingName: "kiosk-1", rootPath: "/var/lib/wherry",
  components: [
    "com.example.web": InterpolationContext.Scope(
      artifactsPath: "/a/web", decompressedPath: "/d/web", workPath: "/w/web",
      configuration: [
        "name": "world", "count": 5, "ratio": 2.5, "on": true, "none": nil, "list": ["x", ["y": 1]],
        "map": ["b": 1, "a": "é"], "a/b": "slash", "m~n": "tilde", "": "empty",
        "quote": "a \"b\" '$c' `d`\nline {name}",
        "nested": "{configuration:/name}", "true": "TRUE", "seconds": 90,
      ]),
    "com.example.lib": InterpolationContext.Scope(
      artifactsPath: "/a/lib", decompressedPath: "/d/lib", workPath: "/w/lib", configuration: ["port": 80]),
  ], own: "com.example.web")

private let table: [(text: String, expected: String, missing: [String])] = [
  ("", "", []),
  ("nothing here", "nothing here", []),
  ("{artifacts:path}/x", "/a/web/x", []),
  ("{artifacts:decompressedPath}", "/d/web", []),
  ("{work:path}{kernel:rootPath}{iot:thingName}", "/w/web/var/lib/wherrykiosk-1", []),
  ("{configuration:/name}", "world", []),
  ("{configuration:/count} {configuration:/ratio} {configuration:/on} {configuration:/none}", "5 2.5 true null", []),
  ("{configuration:/list/0} {configuration:/list/1/y}", "x 1", []),
  ("{configuration:/map}", #"{"a":"é","b":1}"#, []),
  ("{configuration:/list}", #"["x",{"y":1}]"#, []),
  ("{configuration:/a~1b} {configuration:/m~0n} {configuration:/}", "slash tilde empty", []),
  ("{com.example.lib:configuration:/port} {com.example.lib:artifacts:path}", "80 /a/lib", []),
  ("{com.example.web:work:path}", "/w/web", []),
  // Byte for byte, and not looked through again.
  ("<{configuration:/quote}>", "<a \"b\" '$c' `d`\nline {name}>", []),
  ("{configuration:/nested}", "{configuration:/name}", []),
  // What is missing stays and is told, once.
  ("{configuration:/nope}", "{configuration:/nope}", ["{configuration:/nope}"]),
  (
    "{configuration:/list/9} {configuration:/list/9}", "{configuration:/list/9} {configuration:/list/9}",
    ["{configuration:/list/9}"]
  ),
  ("{com.example.other:work:path}", "{com.example.other:work:path}", ["{com.example.other:work:path}"]),
  ("{com.example.lib:configuration:/x}", "{com.example.lib:configuration:/x}", ["{com.example.lib:configuration:/x}"]),
  // What is no variable is nobody's business.
  ("${NAME:-x} ${NAME} {} {:} {a:b} {a:b:c}", "${NAME:-x} ${NAME} {} {:} {a:b} {a:b:c}", []),
  ("{configuration:name} {artifacts:other} {work:path:x}", "{configuration:name} {artifacts:other} {work:path:x}", []),
  ("{not a name:work:path}", "{not a name:work:path}", []),
  ("{ {work:path} }", "{ /w/web }", []),
  ("{{work:path}}", "{/w/web}", []),
  ("{work:path", "{work:path", []),
  ("{work:\npath}", "{work:\npath}", []),
  ("awk '{print $1}' {configuration:/name} é}{", "awk '{print $1}' world é}{", []),
]

@Suite("Interpolation")
struct InterpolationTests {
  @Test("variables", arguments: table.indices)
  func expand(row: Int) {
    let (text, missing) = Interpolation.expand(table[row].text, in: context)
    #expect(text == table[row].expected)
    #expect(missing == table[row].missing)
  }

  @Test("the whole configuration")
  func whole() {
    var small = context
    small.components["com.example.web"]?.configuration = ["a": 1]
    #expect(Interpolation.expand("{configuration:}", in: small).text == #"{"a":1}"#)
  }

  @Test("random text neither crashes nor changes when it holds no variable")
  func random() {
    var seeded = Seeded(3)
    let pieces = ["{", "}", ":", "configuration", "/", "a", "work:path", "\n", "é", "$", " ", "com.example.lib"]
    for _ in 0..<5_000 {
      let text = (0..<seeded.below(12)).map { _ in seeded.one(of: pieces) }.joined()
      let (expanded, missing) = Interpolation.expand(text, in: context)
      for variable in missing { #expect(expanded.contains(variable)) }
      if !text.contains("{work:path}"), !text.contains("{com.example.lib:work:path}"), !text.contains("configuration:")
      {
        #expect(expanded == text)
      }
    }
  }

  @Test("a step with everything filled in")
  func step() {
    var step = Step(script: "run {configuration:/name}")
    step.setenv = ["A": "{configuration:/count}", "B": "{configuration:/gone}"]
    step.skipIf = SkipCondition(test: .exists("{work:path}/done"), isNegated: true)
    step.requiresPrivilegeVariable = "{configuration:/true}"
    step.timeoutVariable = "{configuration:/seconds}"
    let (result, missing) = Interpolation.resolve(step, in: context)
    #expect(result.script == "run world")
    #expect(result.setenv == ["A": "5", "B": "{configuration:/gone}"])
    #expect(result.skipIf == SkipCondition(test: .exists("/w/web/done"), isNegated: true))
    #expect(result.requiresPrivilege && result.timeoutSeconds == 90)
    #expect(result.requiresPrivilegeVariable == nil && result.timeoutVariable == nil)
    #expect(missing == ["{configuration:/gone}"])
  }

  @Test("settings without a usable value keep the safe default and are told")
  func unusable() {
    var step = Step(script: "x")
    step.requiresPrivilegeVariable = "{configuration:/name}"
    step.timeoutVariable = "{configuration:/nope}"
    let (result, missing) = Interpolation.resolve(step, in: context)
    #expect(!result.requiresPrivilege && result.timeoutSeconds == nil)
    #expect(missing == ["{configuration:/name}", "{configuration:/nope}"])
  }
}
