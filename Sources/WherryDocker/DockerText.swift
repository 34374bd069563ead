/// What `docker` prints.
package enum DockerText {
  /// Columns under each other, three blanks between them.
  package static func table(_ rows: [[String]]) -> [String] {
    let columns = rows.first?.count ?? 0
    let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, text) in row.enumerated() {
        line += text
        if column < columns - 1 { line += String(repeating: " ", count: widths[column] - text.count + 3) }
      }
      return line
    }
  }

  /// `Up 5 seconds`, `Exited (1) 2 minutes ago`.
  package static func duration(milliseconds: Int64) -> String {
    let seconds = max(0, milliseconds / 1000)
    let units: [(Int64, String)] = [(86_400, "day"), (3_600, "hour"), (60, "minute")]
    for (size, name) in units where seconds >= size { return plural(seconds / size, name) }
    return plural(seconds, "second")
  }

  private static func plural(_ count: Int64, _ name: String) -> String { "\(count) \(name)\(count == 1 ? "" : "s")" }

  package static let usage = """
    docker, as this device's agent carries it out for the component that calls it.

      run [FLAGS] IMAGE [COMMAND…]   images: the component's docker: artifacts
      stop [-t SECONDS] NAME…        kill [-s SIGNAL] NAME…      rm [-f] NAME…
      ps [-a] [-q] [--filter name=]  logs [-f] [--tail N] NAME   wait NAME…   inspect NAME…
      images [-q]   pull IMAGE   rmi IMAGE…   login   version

    Flags of run: -d --rm --name -i -t -e --env-file -p -v --mount --network bridge|host|none --device -u -w
      --entrypoint --restart -m --cpus --pids-limit --ulimit --read-only --cap-add --cap-drop --privileged -h
      --stop-signal --stop-timeout
    """
}
