import Testing
import WherryTransfer

@Suite struct RetryAfterTests {
  private static let date = "Sun, 06 Nov 1994 08:49:37 GMT"

  @Test(arguments: [
    ("0", 0), ("7", 7_000), ("300", 300_000), ("301", 300_000), ("99999999999999999999", 300_000),
  ])
  func secondsAreHonouredUpToFiveMinutes(_ text: String, _ milliseconds: Int) {
    #expect(RetryAfter.milliseconds(in: ["retry-after": text]) == Int64(milliseconds))
  }

  @Test(arguments: [
    ("Sun, 06 Nov 1994 08:49:47 GMT", 10_000), ("Sun, 06 Nov 1994 08:49:36 GMT", 0),
    ("Mon, 07 Nov 1994 08:49:37 GMT", 300_000), ("Sun, 06 Nov 1994 08:53:00 GMT", 203_000),
  ])
  func aTimeIsReadByTheServersOwnClock(_ text: String, _ milliseconds: Int) {
    #expect(RetryAfter.milliseconds(in: ["retry-after": text, "date": Self.date]) == Int64(milliseconds))
  }

  @Test(arguments: [
    ("Wed, 28 Feb 2024 23:59:50 GMT", "Thu, 29 Feb 2024 00:00:05 GMT"),
    ("Thu, 29 Feb 2024 23:59:50 GMT", "Fri, 01 Mar 2024 00:00:05 GMT"),
    ("Tue, 31 Dec 2030 23:59:50 GMT", "Wed, 01 Jan 2031 00:00:05 GMT"),
    ("Sun, 28 Feb 2100 23:59:50 GMT", "Mon, 01 Mar 2100 00:00:05 GMT"),
  ])
  func midnightIsCrossedWhereTheCalendarSaysSo(_ now: String, _ then: String) {
    #expect(RetryAfter.milliseconds(in: ["retry-after": then, "date": now]) == 15_000)
  }

  @Test(arguments: [
    "", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 06 Foo 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
  ])
  func whatCannotBeReadSaysNothing(_ text: String) {
    #expect(RetryAfter.milliseconds(in: ["retry-after": text, "date": Self.date]) == nil)
  }

  @Test func withoutTheServersClockATimeSaysNothing() {
    #expect(RetryAfter.milliseconds(in: ["retry-after": Self.date]) == nil)
    #expect(RetryAfter.milliseconds(in: [:]) == nil)
  }

  @Test func aPauseIsTheLongerOfTheOwnAndTheAskedOne() {
    var policy = DownloadPolicy()
    policy.backoffMilliseconds = 500
    policy.backoffMaximumMilliseconds = 15_000
    #expect(policy.pauseMilliseconds(fruitless: 1, asked: nil) == 1_000)
    #expect(policy.pauseMilliseconds(fruitless: 9, asked: nil) == 15_000)
    #expect(policy.pauseMilliseconds(fruitless: 1, asked: 40_000) == 40_000)
    #expect(policy.pauseMilliseconds(fruitless: 4, asked: 1_000) == 8_000)
    #expect(policy.pauseMilliseconds(fruitless: 1, asked: .max) == 300_000)
  }
}
