import Glibc
import WherryModel

/// What deployments may take of the disk, of the network and of the day.
package struct DownloadLimits: Hashable, Sendable {
  /// Of everything that is fetched for components: blobs, layers and artifacts. Nil = as much as the disk has.
  package var diskBudget: Int64?
  /// Stays free on the disk for what runs: the journal, logs and components' data. Nil = `headroom(of:)`.
  package var diskHeadroom: Int64?
  /// Of one fetch, over all its transfers.
  package var bytesPerSecond: Int64?
  /// In the device's own time; nil = at any time.
  package var windows: WeeklyWindows?
  /// When what was downloaded may take the place of what runs; as above.
  package var applyWindows: WeeklyWindows?
  package init() {}

  /// A hundredth of the disk, from 8 to 64 MiB.
  static func headroom(of total: Int64) -> Int64 { min(max(total / 100, 8 << 20), 64 << 20) }

  mutating func set(_ key: String, to value: String, at place: String) throws(Failure) {
    switch key {
    case "disk_budget": diskBudget = try Self.size(value, key, place)
    case "disk_headroom": diskHeadroom = try Self.size(value, key, place, minimum: 0)
    case "download_rate":
      let number = value.hasSuffix("/s") ? String(value.dropLast(2)) : value
      bytesPerSecond = try Self.size(number, key, place)
    case "download_windows": windows = try Self.windows(value, key, place)
    case "apply_windows": applyWindows = try Self.windows(value, key, place)
    default:
      throw AgentConfiguration.refusal(
        "\(place): the key \"\(key.prefix(80))\" is not known", "see Docs/operations.md for the keys")
    }
  }

  private static func windows(_ value: String, _ key: String, _ place: String) throws(Failure) -> WeeklyWindows {
    do throws(WeeklyWindows.Problem) { return try WeeklyWindows(parsing: value) } catch {
      throw AgentConfiguration.refusal("\(place): \(key): \(error.message)", error.remedy)
    }
  }

  private static func size(
    _ value: String, _ key: String, _ place: String, minimum: Int64 = 1
  ) throws(Failure) -> Int64 {
    guard let bytes = ByteCount.parse(value), bytes >= minimum else {
      throw AgentConfiguration.refusal(
        "\(place): \(key) \"\(value.prefix(80))\" is not a size", "write a number of bytes, or one as 64MiB or 2GB")
    }
    return bytes
  }

  func openness(atWall wall: Instant) -> WeeklyWindows.Openness { Self.openness(of: windows, wall) }
  func openness(toApplyAtWall wall: Instant) -> WeeklyWindows.Openness { Self.openness(of: applyWindows, wall) }

  private static func openness(of windows: WeeklyWindows?, _ wall: Instant) -> WeeklyWindows.Openness {
    windows?.openness(atSecondOfWeek: secondOfWeek(wall)) ?? .open(forSeconds: nil)
  }

  /// In the device's time zone, since Monday 00:00.
  static func secondOfWeek(_ wall: Instant) -> Int64 {
    var seconds = time_t(wall.milliseconds / 1000)
    var parts = tm()
    // Looks whether somebody moved the device to another zone; localtime_r does so once only.
    tzset()
    localtime_r(&seconds, &parts)
    // tm_wday counts from Sunday.
    let day = Int64((parts.tm_wday + 6) % 7)
    return ((day * 24 + Int64(parts.tm_hour)) * 60 + Int64(parts.tm_min)) * 60 + Int64(min(parts.tm_sec, 59))
  }
}
