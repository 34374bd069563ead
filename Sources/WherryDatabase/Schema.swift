import WherrySQLite

/// Migrations are append-only and run once each, in order, one transaction each; `user_version` counts them.
/// The SQL keeps to what PostgreSQL also reads, apart from AUTOINCREMENT and WITHOUT ROWID.
enum Schema {
  static let migrations: [String] = [first, overview, resolutions, registry, access, grants, rolloutMembers]

  static func migrate(_ store: SQLiteDatabase) throws {
    let applied = Int(try store.query("PRAGMA user_version").first?[0].integer ?? 0)
    guard applied <= migrations.count else {
      throw DatabaseError("its schema is number \(applied) and this version knows \(migrations.count)")
    }
    for number in applied..<migrations.count {
      try store.transaction {
        try store.execute(migrations[number])
        try store.execute("PRAGMA user_version = \(number + 1)")
      }
    }
  }

  private static let first = """
    CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE devices(
      name TEXT PRIMARY KEY,
      platform TEXT NOT NULL,
      labels TEXT NOT NULL,
      certificate TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      is_online INTEGER NOT NULL DEFAULT 0,
      last_seen INTEGER,
      agent_version TEXT NOT NULL DEFAULT '',
      boot_id TEXT NOT NULL DEFAULT '',
      report_sequence INTEGER NOT NULL DEFAULT 0,
      report TEXT,
      generation INTEGER NOT NULL DEFAULT 0,
      plan TEXT,
      expires_at INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE counts(
      kind TEXT NOT NULL, key TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID;

    CREATE TABLE groups(name TEXT PRIMARY KEY, created_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE memberships(
      group_name TEXT NOT NULL REFERENCES groups(name) ON DELETE CASCADE,
      device TEXT NOT NULL REFERENCES devices(name) ON DELETE CASCADE,
      PRIMARY KEY(group_name, device)) WITHOUT ROWID;
    CREATE INDEX memberships_by_device ON memberships(device);

    CREATE TABLE components(
      name TEXT NOT NULL,
      version TEXT NOT NULL,
      digest TEXT NOT NULL,
      recipe TEXT NOT NULL,
      source TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      PRIMARY KEY(name, version)) WITHOUT ROWID;

    CREATE TABLE deployments(
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      target TEXT NOT NULL,
      request TEXT NOT NULL,
      state TEXT NOT NULL,
      reason TEXT NOT NULL,
      machine TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      finished_at INTEGER);
    CREATE INDEX deployments_by_target ON deployments(target, id);
    CREATE TABLE images(
      deployment INTEGER NOT NULL,
      platform TEXT NOT NULL,
      reference TEXT NOT NULL,
      image TEXT NOT NULL,
      PRIMARY KEY(deployment, platform, reference)) WITHOUT ROWID;

    CREATE TABLE assignments(
      device TEXT NOT NULL REFERENCES devices(name) ON DELETE CASCADE,
      target TEXT NOT NULL,
      deployment INTEGER NOT NULL,
      generation INTEGER NOT NULL,
      previous INTEGER,
      PRIMARY KEY(device, target)) WITHOUT ROWID;

    CREATE TABLE plans(digest TEXT PRIMARY KEY, text TEXT NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE outbox(
      topic TEXT PRIMARY KEY,
      payload BLOB NOT NULL,
      qos INTEGER NOT NULL,
      retain INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE claims(
      id TEXT PRIMARY KEY,
      token_hash TEXT NOT NULL UNIQUE,
      request TEXT NOT NULL,
      uses_left INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      last_device TEXT,
      last_request TEXT) WITHOUT ROWID;

    CREATE TABLE tokens(
      name TEXT PRIMARY KEY,
      role TEXT NOT NULL,
      hash TEXT NOT NULL UNIQUE,
      created_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE sessions(
      hash TEXT PRIMARY KEY,
      token TEXT NOT NULL REFERENCES tokens(name) ON DELETE CASCADE,
      expires_at INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE audit(
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      at INTEGER NOT NULL,
      actor TEXT NOT NULL,
      action TEXT NOT NULL,
      subject TEXT NOT NULL,
      detail TEXT NOT NULL);
    """

  /// What the first page of the fleet counts and lists, however many devices and deployments there are.
  private static let overview = """
    ALTER TABLE devices ADD COLUMN is_failing INTEGER NOT NULL DEFAULT 0;
    UPDATE devices SET is_failing = 1 WHERE report LIKE '%"failure":{%';
    CREATE INDEX devices_failing ON devices(name) WHERE is_failing = 1;
    CREATE INDEX deployments_by_state ON deployments(state, id);
    """

  /// Deployments of before have no row here; theirs is made when a plan is composed from them next.
  private static let resolutions = """
    CREATE TABLE resolutions(
      deployments TEXT NOT NULL,
      platform TEXT NOT NULL,
      versions TEXT NOT NULL,
      PRIMARY KEY(deployments, platform)) WITHOUT ROWID;
    """

  /// Tokens that are for some repositories, and for some time.
  private static let grants = """
    ALTER TABLE tokens ADD COLUMN repositories TEXT NOT NULL DEFAULT '';
    ALTER TABLE tokens ADD COLUMN expires_at INTEGER;
    """

  /// How fast devices download, and a rollout's devices each on a row of their own, so that an event writes what it
  /// changed. Rollouts of before have them in `deployments.machine` until they change next.
  private static let rolloutMembers = """
    CREATE TABLE rollout_members(
      deployment INTEGER NOT NULL,
      slot INTEGER NOT NULL,
      member TEXT NOT NULL,
      PRIMARY KEY(deployment, slot)) WITHOUT ROWID;
    ALTER TABLE devices ADD COLUMN pace INTEGER;
    """

  /// What a device may fetch beside its newest plan, and passwords that open the registry alone.
  private static let access = """
    ALTER TABLE devices ADD COLUMN previous_plan TEXT;
    ALTER TABLE devices ADD COLUMN held_plan TEXT;

    CREATE TABLE registry_passwords(
      hash TEXT PRIMARY KEY,
      token TEXT NOT NULL REFERENCES tokens(name) ON DELETE CASCADE,
      expires_at INTEGER NOT NULL) WITHOUT ROWID;
    """
}
