//! What a statement may touch: its tables, and the files of one directory.

#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

mod support;

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use support::Server;

/// Everything that the stranger must not get to see.
const SECRET: &str = "a stranger must not read this";

/// A server, and beside its data directory a place that is somebody else's.
struct Place {
    server: Server,
    elsewhere: PathBuf,
}

impl Place {
    fn new(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let elsewhere = directory.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).expect("creates");
        std::fs::write(elsewhere.join("secret.txt"), SECRET).expect("writes");
        let server = Server::on(directory, flags);
        server
            .post("CREATE TABLE t (a UInt64, s String DEFAULT '') ENGINE = MergeTree ORDER BY a")
            .ok();
        server.post("INSERT INTO t (a) VALUES (1), (2)").ok();
        Self { server, elsewhere }
    }

    /// `$X` stands for the other place.
    fn filled(&self, text: &str) -> String {
        text.replace("$X", &self.elsewhere.display().to_string())
    }

    /// The place as it was made, and the table with it.
    #[track_caller]
    fn is_untouched(&self, after: &str) {
        let names: Vec<_> = std::fs::read_dir(&self.elsewhere)
            .expect("reads")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["secret.txt"], "after {after}");
        let secret = std::fs::read_to_string(self.elsewhere.join("secret.txt")).expect("reads");
        assert_eq!(secret, SECRET, "after {after}");
        let tables = self
            .server
            .value("SELECT groupArray(name) FROM system.tables WHERE database = 'default'");
        assert_eq!(tables, "['t']", "after {after}");
        assert_eq!(
            self.server.value("SELECT count() FROM t"),
            "2",
            "after {after}"
        );
    }

    fn store(&self) -> PathBuf {
        self.server.directory.path().join("store")
    }
}

/// Each is refused, and leaves nothing.
const ATTACKS: &[&str] = &[
    // Files, read …
    "SELECT * FROM file('$X/secret.txt', 'LineAsString')",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM file('../../../elsewhere/secret.txt', 'LineAsString')",
    "SELECT * FROM file(concat('$X', '/secret.txt'), 'LineAsString')",
    "SELECT file('$X/secret.txt')",
    "SELECT `file`('/etc/passwd')",
    "SELECT * FROM `$X/secret.txt`",
    "SELECT * FROM default.`$X/secret.txt`",
    "SELECT * FROM merge('default', '.*secret.*')",
    "DESCRIBE TABLE file('$X/secret.txt', 'LineAsString')",
    "SELECT * FROM loop(file('$X/secret.txt', 'LineAsString')) LIMIT 1",
    "SELECT * FROM fileCluster('default', '$X/secret.txt', 'LineAsString')",
    "SELECT count() FROM filesystem('$X') WHERE throwIf(name = 'secret.txt') = 0 AND size > 0",
    "INSERT INTO t (s) SELECT line FROM file('$X/secret.txt', 'LineAsString')",
    "INSERT INTO t FROM INFILE '$X/secret.txt' FORMAT LineAsString",
    "INSERT INTO t (s) FROM INFILE '$X/secret.txt' FORMAT LineAsString",
    "CREATE TABLE f (a String) ENGINE = File('LineAsString', '$X/secret.txt')",
    "CREATE TABLE f AS file('$X/secret.txt', 'LineAsString')",
    "CREATE VIEW f AS SELECT * FROM file('$X/secret.txt', 'LineAsString')",
    "CREATE DATABASE f ENGINE = Filesystem('$X')",
    "CREATE DICTIONARY d (k UInt64, v String) PRIMARY KEY k SOURCE(FILE(path '$X/secret.txt' format 'CSV')) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE DICTIONARY d (k UInt64, v String) PRIMARY KEY k SOURCE(EXECUTABLE(command 'id' format 'CSV')) LAYOUT(FLAT()) LIFETIME(0)",
    "ATTACH TABLE f FROM '$X' (a UInt8) ENGINE = File('CSV')",
    "ATTACH TABLE f FROM '$X/' (a UInt8) ENGINE = MergeTree ORDER BY a",
    "SELECT * FROM sqlite('$X/secret.txt', 't')",
    "SELECT * FROM icebergLocal('$X')",
    "SELECT * FROM deltaLakeLocal('$X')",
    "SELECT 1 AS a FORMAT Protobuf SETTINGS format_schema = '$X/secret.txt:M'",
    "SELECT catboostEvaluate('$X/secret.txt', 1)",
    // … and written.
    "SELECT 1 INTO OUTFILE '$X/new'",
    "SELECT 1 INTO OUTFILE '$X/secret.txt' TRUNCATE",
    "(SELECT 1) INTO OUTFILE '$X/new'",
    "SHOW TABLES INTO OUTFILE '$X/new'",
    "SELECT \u{2018}'\u{2019} INTO OUTFILE '$X/new' -- '",
    "SELECT 1 INTO\u{2003}OUTFILE '$X/new'",
    "SELECT 1 /* ' */ INTO /* ' */ OUTFILE '$X/new'",
    "SELECT $a$ ' $a$ INTO OUTFILE '$X/new'",
    "INSERT INTO FUNCTION file('$X/new', 'CSV', 'a Int8') VALUES (1)",
    "INSERT INTO FUNCTION file('$X/new', 'CSV', 'a Int8') SELECT 1",
    "INSERT INTO FUNCTION file('../../../elsewhere/new', 'CSV', 'a Int8') SELECT 1",
    "INSERT INTO FUNCTION file('../metadata/new.sql', 'CSV', 'a Int8') SELECT 1",
    "CREATE TABLE f (a UInt8) ENGINE = File('CSV', '$X/new')",
    "CREATE TABLE f (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '$X/new/')",
    "CREATE TABLE f (a UInt8) ENGINE = Log SETTINGS disk = disk(type = local, path = '$X/new/')",
    "CREATE TABLE f (a UInt8) ENGINE = SQLite('$X/new', 't')",
    "CREATE DATABASE f ENGINE = SQLite('$X/new')",
    "BACKUP TABLE t TO File('$X/new')",
    "BACKUP TABLE t TO Disk('default', 'new')",
    "RESTORE TABLE t AS f FROM File('$X/new')",
    "SELECT 1 AS a FORMAT Protobuf SETTINGS output_format_schema = '$X/new.proto', format_protobuf_use_autogenerated_schema = 1",
    // Programs.
    "SELECT * FROM executable('id', 'CSV', 'a String')",
    "CREATE TABLE f (a String) ENGINE = Executable('id', 'CSV')",
    "CREATE TABLE f (a String) ENGINE = ExecutablePool('id', 'CSV')",
    "SELECT * FROM python('x')",
    "CREATE FUNCTION f AS (x) -> x",
    // Other machines.
    "SELECT * FROM url('http://127.0.0.1:9/', 'CSV', 'a Int8')",
    "INSERT INTO FUNCTION url('http://127.0.0.1:9/', 'CSV', 'a Int8') VALUES (1)",
    "SELECT * FROM remote('127.0.0.1:9', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1:9', system.one)",
    "SELECT * FROM s3('http://127.0.0.1:9/b/o', 'CSV', 'a Int8')",
    "SELECT * FROM gcs('http://127.0.0.1:9/b/o', 'CSV', 'a Int8')",
    "SELECT * FROM mysql('127.0.0.1:9', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:9', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:9', 'd', 't', 'u', 'p', 'a Int8')",
    "SELECT * FROM redis('127.0.0.1:9', 'k', 'k String')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:9/x', 'CSV', 'a Int8')",
    "SELECT * FROM azureBlobStorage('http://127.0.0.1:9/', 'c', 'b', 'CSV')",
    "SELECT * FROM jdbc('x', 'd', 't')",
    "SELECT * FROM odbc('DSN=x', 'd', 't')",
    "SELECT * FROM iceberg('http://127.0.0.1:9/b')",
    "SELECT * FROM deltaLake('http://127.0.0.1:9/b')",
    "CREATE TABLE f (a Int8) ENGINE = URL('http://127.0.0.1:9/', 'CSV')",
    "CREATE TABLE f (a Int8) ENGINE = S3('http://127.0.0.1:9/b/o', 'CSV')",
    "CREATE TABLE f (a Int8) ENGINE = MySQL('127.0.0.1:9', 'd', 't', 'u', 'p')",
    "CREATE TABLE f (a Int8) ENGINE = Kafka('127.0.0.1:9', 't', 'g', 'CSV')",
    "CREATE DATABASE f ENGINE = MySQL('127.0.0.1:9', 'd', 'u', 'p')",
    "CREATE DICTIONARY d (k UInt64) PRIMARY KEY k SOURCE(HTTP(url 'http://127.0.0.1:9/' format 'CSV')) LAYOUT(FLAT()) LIFETIME(0)",
    // The server itself.
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "SYSTEM RELOAD CONFIG",
    "CREATE USER u",
    "CREATE NAMED COLLECTION n AS a = 1",
    "GRANT ALL ON *.* TO default",
    "GRANT FILE ON *.* TO default",
    "EXECUTE AS default SELECT 1",
    "SET dialect = 'prql'",
    "SELECT 1 SETTINGS format_schema = '$X/secret.txt'",
    "SELECT 1; SELECT 2",
    "SELECT 1 PARALLEL WITH DROP TABLE t",
    "exit",
];

#[test]
fn what_reaches_out_is_refused_and_leaves_nothing() {
    let place = Place::new(&[]);
    let mut passed = Vec::new();
    for attack in ATTACKS {
        let text = place.filled(attack);
        let answer = place.server.post(&text);
        let refused = answer.status != 200 && answer.code().is_some();
        if !refused || answer.text().contains(SECRET) {
            passed.push(format!("{text}: {}", answer.text()));
        }
        place.is_untouched(&text);
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

/// The same by parameters, settings and headers of the request.
#[test]
fn a_request_opens_no_way_either() {
    let place = Place::new(&[]);
    for (address, body) in [
        (
            "/?param_p=$X/secret.txt",
            "SELECT * FROM file({p:String}, 'LineAsString')",
        ),
        ("/?param_p=$X/secret.txt", "SELECT * FROM {p:Identifier}"),
        ("/?query=SELECT+1+INTO&", "OUTFILE '$X/new'"),
        (
            "/?format_schema=$X/secret.txt:M&default_format=Protobuf",
            "SELECT 1 AS a",
        ),
        (
            "/?output_format_schema=$X/new&default_format=Protobuf&format_protobuf_use_autogenerated_schema=1",
            "SELECT 1 AS a",
        ),
        ("/?dialect=prql", "from t"),
        ("/?implicit_select=1", "file('$X/secret.txt')"),
        (
            "/?default_table_engine=File",
            "CREATE TABLE f (a Int8) ENGINE = File('CSV', '$X/new')",
        ),
        ("/?role=admin", "SELECT 1"),
    ] {
        let (address, body) = (place.filled(address), place.filled(body));
        let answer = place.server.post_to(&address, &body);
        assert_ne!(answer.status, 200, "{address} {body}: {}", answer.text());
        assert!(
            !answer.text().contains(SECRET),
            "{address} {body}: {}",
            answer.text()
        );
        place.is_untouched(&format!("{address} {body}"));
    }
}

/// As in ClickHouse, a GET reads; and `readonly` is a promise, whatever stands beside it.
#[test]
fn what_only_reads_changes_nothing() {
    let place = Place::new(&[]);
    let writes = [
        "INSERT INTO t (a) VALUES (3)",
        "INSERT INTO t (a) SETTINGS readonly = 0 VALUES (3)",
        "INSERT INTO t (a) SELECT 3",
        "INSERT INTO t (a) SETTINGS readonly = 0 SELECT 3",
        "WITH x AS (SELECT 3 AS a) INSERT INTO t (a) SELECT a FROM x",
        "CREATE TABLE f (a UInt8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE f (a UInt8)",
        "ALTER TABLE t DELETE WHERE 1",
        "DELETE FROM t WHERE 1",
        "TRUNCATE TABLE t",
        "DROP TABLE t",
        "RENAME TABLE t TO f",
        "DETACH TABLE t",
        "OPTIMIZE TABLE t FINAL",
        "KILL QUERY WHERE 1",
        "SET readonly = 0; DROP TABLE t",
        "SELECT 1; DROP TABLE t",
        "SELECT 1 PARALLEL WITH DROP TABLE t",
    ];
    let posts = [
        "/?readonly=1&",
        "/?readonly=2&",
        "/?readonly=1&readonly=0&",
        "/?readonly=0&readonly=1&",
        "/?session_id=s&readonly=1&",
        "/?session_id=s&readonly=1&readonly=0&",
    ];
    let gets = [
        "/?",
        "/?readonly=0&",
        "/?session_id=s&",
        "/?session_id=s&readonly=0&",
    ];
    for text in writes {
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for address in posts {
            let answer = place.server.post_to(address, text);
            assert_ne!(answer.status, 200, "{address} {text}");
            place.is_untouched(&format!("POST {address} {text}"));
        }
        for address in gets {
            let address = format!("{address}query={encoded}");
            let answer = place.server.request("GET", &address, &[], b"");
            assert_ne!(answer.status, 200, "{address}");
            place.is_untouched(&format!("GET {address}"));
        }
    }
    place
        .server
        .request("GET", "/?query=DROP+TABLE+t", &[], b"")
        .fails(500, 164);
    assert_eq!(
        place
            .server
            .request("GET", "/?query=SELECT+count()+FROM+t", &[], b"")
            .ok(),
        "2\n"
    );
    // In a session, `SET readonly` of the session's own stays, too.
    place
        .server
        .post_to("/?session_id=r", "SET readonly = 1")
        .ok();
    assert_ne!(
        place
            .server
            .post_to("/?session_id=r", "SET readonly = 0")
            .status,
        200
    );
    assert_ne!(
        place
            .server
            .post_to("/?session_id=r", "DROP TABLE t")
            .status,
        200
    );
    place.is_untouched("a session");
}

/// Statements that people and Barograph's own parts live by, in their order.
const LEGITIMATE: &[&str] = &[
    "CREATE DATABASE d",
    "CREATE DATABASE m ENGINE = Memory",
    "CREATE TABLE d.r (a UInt64, v UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY a TTL toDateTime(a) + INTERVAL 1 DAY SETTINGS non_replicated_deduplication_window = 100",
    "CREATE TABLE d.sums (a UInt64, n AggregateFunction(count)) ENGINE = AggregatingMergeTree ORDER BY a",
    "CREATE MATERIALIZED VIEW d.mv TO d.sums AS SELECT a, countState() AS n FROM d.r GROUP BY a",
    "CREATE VIEW d.v AS SELECT a FROM d.r FINAL",
    "CREATE TABLE d.copy AS d.r",
    "CREATE TEMPORARY TABLE tmp (a UInt8)",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS c String CODEC(ZSTD(1))",
    "ALTER TABLE t ADD PROJECTION p (SELECT a, count() GROUP BY a)",
    "ALTER TABLE t MATERIALIZE PROJECTION p SETTINGS mutations_sync = 2",
    "ALTER TABLE t MODIFY SETTING non_replicated_deduplication_window = 1000",
    "ALTER TABLE t ADD INDEX i s TYPE bloom_filter GRANULARITY 1",
    "INSERT INTO d.r VALUES (1, 1), (1, 2)",
    "INSERT INTO d.r FORMAT JSONEachRow {\"a\": 2, \"v\": 1}",
    "INSERT INTO d.r SETTINGS async_insert = 0 SELECT number, 1 FROM numbers(10)",
    "WITH x AS (SELECT 77 AS a) INSERT INTO d.r SELECT a, 1 FROM x",
    "SELECT count() FROM d.v WHERE a IN (SELECT a FROM d.r) FORMAT JSONCompact SETTINGS max_threads = 1",
    "WITH x AS (SELECT 1 AS a) SELECT * FROM x FORMAT CSVWithNames",
    "FROM t SELECT a",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "SELECT * FROM numbers(3)",
    "SELECT * FROM values('a Int8', 1, 2)",
    "SELECT * FROM generateRandom('a Int8') LIMIT 1",
    "SELECT profile, file FROM (SELECT 'x' AS profile, 'y' AS file)",
    "SELECT 'INTO OUTFILE', 'file(''/etc/passwd'')' -- INTO OUTFILE 'x'",
    "SELECT name FROM system.tables FORMAT Null",
    "SELECT * FROM system.parts FORMAT Null",
    "SELECT * FROM system.processes FORMAT Null",
    "SELECT * FROM system.mutations FORMAT Null",
    "SELECT * FROM system.settings FORMAT Null",
    "SELECT * FROM system.merges FORMAT Null",
    "SELECT * FROM system.disks FORMAT Null",
    "SELECT * FROM information_schema.tables FORMAT Null",
    "SHOW TABLES FROM d",
    "SHOW CREATE TABLE d.r",
    "SHOW DATABASES",
    "SHOW GRANTS",
    "DESCRIBE TABLE t",
    "EXISTS TABLE t",
    "EXPLAIN indexes = 1 SELECT * FROM t WHERE a = 1",
    "CHECK TABLE t",
    "OPTIMIZE TABLE d.r FINAL",
    "SYSTEM STOP MERGES",
    "SYSTEM START MERGES",
    "SYSTEM STOP MERGES d.r",
    "SYSTEM START MERGES d.r",
    "SYSTEM FLUSH LOGS",
    "RENAME TABLE d.copy TO d.copy2",
    "EXCHANGE TABLES d.copy2 AND d.r",
    "DETACH TABLE d.copy2",
    "ATTACH TABLE d.copy2",
    "DELETE FROM d.r WHERE a = 2",
    "ALTER TABLE d.r DELETE WHERE a = 3 SETTINGS mutations_sync = 2",
    "ALTER TABLE d.r DROP PARTITION tuple()",
    "KILL QUERY WHERE query_id = 'nobody' SYNC",
    "TRUNCATE TABLE d.r",
    "SET max_threads = 1",
    "USE d",
    "DROP VIEW d.mv SYNC",
    "DROP TABLE d.r SYNC",
    "DROP DATABASE d SYNC",
    // Files of the directory that is there for them.
    "INSERT INTO FUNCTION file('out.csv', 'CSV', 'a Int8') SELECT 42",
    "SELECT throwIf(a != 42) FROM file('out.csv', 'CSV', 'a Int8')",
    "SELECT * FROM file('*.csv', 'CSV', 'a Int8')",
    "CREATE TABLE f (a Int8) ENGINE = File('CSV')",
    "INSERT INTO f VALUES (1)",
    "SELECT throwIf(count() != 1) FROM f",
];

#[test]
fn what_people_live_by_goes_on_working() {
    let place = Place::new(&[]);
    let refused: Vec<String> = LEGITIMATE
        .iter()
        .map(|text| (text, place.server.post(text)))
        .filter(|(_, answer)| answer.status != 200)
        .map(|(text, answer)| format!("{text}: {}", answer.text()))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    let written = place.store().join("data/user_files/out.csv");
    assert_eq!(std::fs::read_to_string(written).expect("is there"), "42\n");
}

/// A server has no Landlock of its own; where sources are allowed they are reached.
#[test]
fn a_source_is_reached_where_it_is_allowed() {
    let place = Place::new(&["--sources", "url"]);
    let text =
        "SELECT * FROM url('http://127.0.0.1:9/', 'CSV', 'a Int8') SETTINGS http_max_tries = 1";
    let refused = place.server.post(text).text();
    assert!(
        !refused.contains("ACCESS_DENIED") && refused.contains("refused"),
        "{refused}"
    );
    place
        .server
        .post("SELECT * FROM file('a.csv')")
        .fails(403, 497);
}

#[test]
fn data_are_the_owners_alone() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = directory.path().join("store");
    // As an earlier version left it.
    std::fs::create_dir(&store).expect("creates");
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o755)).expect("sets");
    let server = Server::on(directory, &[]);
    server
        .post("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        .ok();
    server.post("INSERT INTO t VALUES (1)").ok();
    let mut files = 0;
    let mut open = vec![store];
    while let Some(path) = open.pop() {
        let found = path.symlink_metadata().expect("is there");
        if found.is_symlink() {
            continue;
        }
        files += 1;
        let others = found.permissions().mode() & 0o077;
        assert_eq!(
            others,
            0,
            "{}: {:o}",
            path.display(),
            found.permissions().mode()
        );
        if found.is_dir() {
            open.extend(children(&path));
        }
    }
    assert!(files > 20, "{files}");
}

fn children(path: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(path)
        .expect("reads")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}
