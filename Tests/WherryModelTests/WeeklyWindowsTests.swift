import Testing
import WherryModel

@Suite struct WeeklyWindowsTests {
  private static func second(_ day: Int64, _ hour: Int64, _ minute: Int64 = 0) -> Int64 {
    ((day * 24 + hour) * 60 + minute) * 60
  }

  private struct Case {
    let text: String
    let second: Int64
    let expected: WeeklyWindows.Openness

    init(_ text: String, _ second: Int64, _ expected: WeeklyWindows.Openness) {
      self.text = text
      self.second = second
      self.expected = expected
    }
  }

  private static let cases: [Case] = [
    Case("22:00-06:00", second(0, 21), .shut(forSeconds: 3_600)),
    Case("22:00-06:00", second(0, 22), .open(forSeconds: 8 * 3_600)),
    Case("22:00-06:00", second(3, 5, 30), .open(forSeconds: 1_800)),
    Case("22:00-06:00", second(3, 6), .shut(forSeconds: 16 * 3_600)),
    // From Sunday into the next week.
    Case("22:00-06:00", second(6, 23), .open(forSeconds: 7 * 3_600)),
    Case("22:00-06:00", second(0, 1), .open(forSeconds: 5 * 3_600)),
    Case("Sat,Sun 00:00-24:00", second(4, 23), .shut(forSeconds: 3_600)),
    Case("Sat,Sun 00:00-24:00", second(5, 0), .open(forSeconds: 48 * 3_600)),
    Case("Sat,Sun 00:00-24:00", second(0, 0), .shut(forSeconds: 5 * 24 * 3_600)),
    Case("sun 20:00-04:00", second(0, 3), .open(forSeconds: 3_600)),
    Case("Mon 01:00-02:00; Mon 02:00-03:00 ;12:00-13:00", second(0, 1, 30), .open(forSeconds: 5_400)),
    Case("Mon 01:00-02:00;12:00-13:00", second(0, 3), .shut(forSeconds: 9 * 3_600)),
    Case("00:00-24:00", second(2, 7), .open(forSeconds: nil)),
    Case("06:00-18:00;18:00-06:00", second(2, 7), .open(forSeconds: nil)),
  ]

  @Test func opensAndShuts() throws {
    for test in Self.cases {
      let found = try WeeklyWindows(parsing: test.text).openness(atSecondOfWeek: test.second)
      #expect(found == test.expected, "\(test)")
    }
  }

  /// Against a clock that is asked minute by minute.
  @Test(arguments: ["22:00-06:00", "Tue,Thu 10:15-09:00;Sat 00:00-00:01", "Sun 23:59-00:01;Mon 00:01-00:02"])
  func saysForEachMinuteWhenItChanges(text: String) throws {
    let windows = try WeeklyWindows(parsing: text)
    func isOpen(_ minute: Int64) -> Bool {
      if case .open = windows.openness(atSecondOfWeek: minute * 60) { true } else { false }
    }
    for minute in stride(from: Int64(0), to: 10_080, by: 7) {
      let (state, seconds): (Bool, Int64)
      switch windows.openness(atSecondOfWeek: minute * 60) {
      case .open(let length): (state, seconds) = (true, try #require(length))
      case .shut(let length): (state, seconds) = (false, length)
      }
      #expect(seconds > 0 && seconds % 60 == 0)
      #expect(isOpen(minute + seconds / 60) != state, "\(minute)")
      #expect((0..<seconds / 60).allSatisfy { isOpen(minute + $0) == state }, "\(minute)")
    }
  }

  @Test(arguments: [
    ("", "is not a window"), ("22-06", "is not a window"), ("22:00", "is not a window"),
    ("24:00-06:00", "is not a window"), ("22:60-23:00", "is not a window"), ("06:00-06:00", "is not a window"),
    ("22:00-24:01", "is not a window"), ("+1:00-02:00", "is not a window"), ("Mon Tue 01:00-02:00", "is not a window"),
    ("Funday 01:00-02:00", "is no day of the week"), ("Mon,, 01:00-02:00", "is no day of the week"),
    ("01:00-02:00;", "is not a window"),
    (Array(repeating: "01:00-02:00", count: 51).joined(separator: ";"), "there are 51 windows"),
  ]) func refusesWhatItDoesNotUnderstand(text: String, sentence: String) throws {
    let problem = try #require(throws: WeeklyWindows.Problem.self) { try WeeklyWindows(parsing: text) }
    #expect(problem.message.contains(sentence) && !problem.remedy.isEmpty, "\(problem)")
  }

  @Test(
    arguments: [
      ("0", 0), ("512", 512), ("512B", 512), ("1KiB", 1_024), ("64 MiB", 64 << 20), ("2GB", 2_000_000_000),
      ("8192TiB", 8_192 << 40), ("8193TiB", nil), ("9223372036854775807", nil), ("99999999999999999999", nil),
      ("1.5GiB", nil), ("-1", nil), ("", nil), ("MiB", nil), ("5 mib", nil), ("5MiBs", nil), ("５", nil),
    ] as [(String, Int64?)]) func sizesAreReadStrictly(text: String, bytes: Int64?)
  {
    #expect(ByteCount.parse(text) == bytes)
  }
}
