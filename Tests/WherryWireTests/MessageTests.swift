import Testing
import WherryJSON
import WherryModel
import WherryTestSupport
import WherryWire

struct TopicTests {
  @Test("a topic and its parts are each other's inverse", arguments: TopicKind.allCases)
  func inverse(kind: TopicKind) throws {
    let device: DeviceName = "kiosk-1.berlin_2"
    let topic = Topic.of(device, kind)
    #expect(topic == "wherry/v1/devices/kiosk-1.berlin_2/\(kind.rawValue)")
    let parsed = try #require(Topic.parse(topic))
    #expect(parsed.device == device)
    #expect(parsed.kind == kind)
  }

  @Test(
    "what is not a device's topic is none",
    arguments: [
      "", "wherry/v1/devices/", "wherry/v1/devices/kiosk-1", "wherry/v1/devices//reported",
      "wherry/v1/devices/+/reported", "wherry/v1/devices/#", "wherry/v1/devices/kiosk-1/reported/more",
      "wherry/v1/devices/kiosk-1/reported/", "wherry/v2/devices/kiosk-1/reported", "wherry/v1/devices/../reported",
      "wherry/v1/devices/kiosk-1/unknown", "/wherry/v1/devices/kiosk-1/reported", "WHERRY/v1/devices/a/reported",
      "wherry/v1/devices/kiösk/reported", "wherry/v1/devices/a\0b/reported", "$SYS/broker",
    ])
  func others(topic: String) { #expect(Topic.parse(topic) == nil) }
}

struct Base64Tests {
  // RFC 4648 §10
  @Test(
    "the test vectors of RFC 4648",
    arguments: [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
      ("foobar", "Zm9vYmFy"),
    ])
  func vectors(text: String, encoded: String) {
    #expect(Base64.encode(Array(text.utf8)) == encoded)
    #expect(Base64.decode(encoded) == Array(text.utf8))
    let short = String(encoded.prefix { $0 != "=" })
    #expect(Base64.encodeURL(Array(text.utf8)) == short)
    #expect(Base64.decodeURL(short) == Array(text.utf8))
  }

  @Test("each alphabet has its own last two letters")
  func alphabets() {
    #expect(Base64.encode([0xFB, 0xFF]) == "+/8=")
    #expect(Base64.encodeURL([0xFB, 0xFF]) == "-_8")
    #expect(Base64.decode("-_8=") == nil)
    #expect(Base64.decodeURL("+/8") == nil)
  }

  @Test(
    "a second spelling of a value is refused",
    arguments: ["Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm=v", "====", "=", "Z", "Zm9vé"])
  func strict(text: String) { #expect(Base64.decode(text) == nil) }

  @Test("random bytes survive both alphabets")
  func random() {
    var random = SeededGenerator(seed: 7)
    for count in 0..<200 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(Base64.decode(Base64.encode(bytes)) == bytes)
      #expect(Base64.decodeURL(Base64.encodeURL(bytes)) == bytes)
    }
  }
}

struct EnvelopeTests {
  // secure-systems-lab/dsse, protocol.md, "Test vectors"
  @Test("the pre-authentication encoding is the specification's")
  func preAuthenticationEncoding() {
    let envelope = Envelope(payloadType: "http://example.com/HelloWorld", payload: Array("hello world".utf8))
    let text = String(decoding: envelope.preAuthenticationEncoding, as: UTF8.self)
    #expect(text == "DSSEv1 29 http://example.com/HelloWorld 11 hello world")
  }

  @Test("lengths are counted in bytes")
  func lengths() {
    let envelope = Envelope(payloadType: "é", payload: [0xFF, 0x00])
    #expect(envelope.preAuthenticationEncoding == Array("DSSEv1 2 é 2 ".utf8) + [0xFF, 0x00])
  }

  @Test("an envelope in the specification's JSON is read, in either alphabet, with or without a key id")
  func specification() throws {
    let text = """
      {"payload":"aGVsbG8gd29ybGQ=","payloadType":"http://example.com/HelloWorld",
       "signatures":[{"sig":"-_8"},{"keyid":"k","sig":"+/8="}],"other":1}
      """
    let envelope = try Envelope(JSONCursor(JSON(parsing: text)))
    #expect(envelope.payload == Array("hello world".utf8))
    #expect(
      envelope.signatures == [
        EnvelopeSignature(keyID: "", signature: [0xFB, 0xFF]), EnvelopeSignature(keyID: "k", signature: [0xFB, 0xFF]),
      ])
  }

  @Test("too many signatures are refused before any is checked")
  func tooMany() {
    var envelope = Samples.envelope
    envelope.signatures = [EnvelopeSignature](repeating: envelope.signatures[0], count: 9)
    #expect(throws: JSONShapeError.self) { try Envelope(JSONCursor(envelope.json)) }
  }
}

struct ClaimTests {
  private let claim = Claim(url: "https://127.0.0.1:8443", token: "t0ken", authority: "-----BEGIN…\n")

  @Test("a claim is one line of text, and blanks that a terminal puts into it do not matter")
  func text() throws {
    #expect(claim.text.hasPrefix("wherry-claim-1."))
    #expect(claim.text.utf8.allSatisfy { (0x21...0x7E).contains($0) })
    #expect(try Claim(text: claim.text) == claim)
    let middle = claim.text.index(claim.text.startIndex, offsetBy: 40)
    #expect(try Claim(text: " \(claim.text[..<middle])\n\(claim.text[middle...])\r\n") == claim)
  }

  @Test(
    "anything else is refused in one sentence with the remedy",
    arguments: [
      "", "wherry-claim-1.", "wherry-claim-1.%%%", "wherry-claim-2.e30", "wherry-claim-1.e30", "wherry-claim-1.bnVsbA",
    ])
  func others(text: String) { #expect(throws: JSONShapeError.self) { try Claim(text: text) } }

  @Test("a megabyte is no claim")
  func large() {
    let text = "wherry-claim-1." + String(repeating: "A", count: 1 << 20)
    #expect(throws: JSONShapeError.self) { try Claim(text: text) }
  }
}
