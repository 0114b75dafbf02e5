//! Where the parts of a statement lie.

use super::*;

#[track_caller]
fn insert(text: &str, head: &str, format: Option<&str>, data: &str) {
    match Statement::parse(text.as_bytes()).expect("parses") {
        Statement::Insert(found) => {
            assert_eq!(String::from_utf8_lossy(&found.head).trim_end(), head);
            assert_eq!(found.format.as_deref(), format);
            assert_eq!(&text[found.data_at..], data);
        }
        Statement::Other(other) => panic!("not taken for an insert with rows: {other:?}"),
    }
}

#[track_caller]
fn other(text: &str) -> Other {
    match Statement::parse(text.as_bytes()).expect("parses") {
        Statement::Other(other) => other,
        Statement::Insert(insert) => panic!("taken for an insert with rows: {insert:?}"),
    }
}

#[track_caller]
fn refused(text: &str, code: u32) {
    assert_eq!(
        Statement::parse(text.as_bytes())
            .expect_err("is refused")
            .code,
        code
    );
}

#[test]
fn rows_begin_after_one_line_break() {
    insert(
        "INSERT INTO t FORMAT CSV\n\n1,2\n",
        "INSERT INTO t",
        Some("CSV"),
        "\n1,2\n",
    );
    insert(
        "insert into t (a, b) format  JSONEachRow {\"a\":1}",
        "insert into t (a, b)",
        Some("JSONEachRow"),
        "{\"a\":1}",
    );
    insert(
        "INSERT INTO t FORMAT Native\r\nxx",
        "INSERT INTO t",
        Some("Native"),
        "xx",
    );
    insert(
        "INSERT INTO t FORMAT RowBinary",
        "INSERT INTO t",
        Some("RowBinary"),
        "",
    );
}

#[test]
fn values_are_rows() {
    insert(
        "INSERT INTO t VALUES (1, 'a;b'); ",
        "INSERT INTO t",
        Some("Values"),
        " (1, 'a;b'); ",
    );
    insert(
        "INSERT INTO t (`values`, format) VALUES\n(1)",
        "INSERT INTO t (`values`, format)",
        Some("Values"),
        "\n(1)",
    );
    insert(
        "-- note\nINSERT /* x */ INTO db.values Values(1)",
        "-- note\nINSERT /* x */ INTO db.values",
        Some("Values"),
        "(1)",
    );
}

#[test]
fn settings_stay_with_the_statement() {
    insert(
        "INSERT INTO t SETTINGS a=1, b='x' FORMAT TSV\n1",
        "INSERT INTO t SETTINGS a=1, b='x'",
        Some("TSV"),
        "1",
    );
    insert(
        "INSERT INTO t FORMAT TSV SETTINGS a = 1.5, b = -2\n1\t2",
        "INSERT INTO t  SETTINGS a = 1.5, b = -2",
        Some("TSV"),
        "1\t2",
    );
    insert(
        "INSERT INTO t FORMAT LineAsString settings are data",
        "INSERT INTO t",
        Some("LineAsString"),
        "settings are data",
    );
}

#[test]
fn an_insert_may_leave_its_format_to_the_request() {
    insert("INSERT INTO t", "INSERT INTO t", None, "");
    insert(
        "INSERT INTO FUNCTION file('x', 'CSV');",
        "INSERT INTO FUNCTION file('x', 'CSV')",
        None,
        "",
    );
}

#[test]
fn an_insert_from_a_query_has_no_rows() {
    for text in [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t SETTINGS a=1 SELECT 'FORMAT CSV' FORMAT Null",
    ] {
        assert!(!other(text).select, "{text}");
        assert!(!(other(text).effect == Effect::Reads), "{text}");
    }
}

#[test]
fn select_in_its_spellings() {
    for text in [
        "SELECT 1",
        "with x as (select 1) select * from x",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "/* a */ FROM t SELECT 1",
    ] {
        assert!(
            other(text).select && (other(text).effect == Effect::Reads),
            "{text}"
        );
    }
    for text in ["SHOW TABLES", "DESCRIBE t", "EXPLAIN SELECT 1", "EXISTS t"] {
        assert!(
            !other(text).select && (other(text).effect == Effect::Reads),
            "{text}"
        );
    }
    for text in [
        "CREATE TABLE t AS SELECT 1",
        "ALTER TABLE t DELETE WHERE 1",
        "SYSTEM FLUSH LOGS",
        "SET a = 1",
    ] {
        assert!(
            !other(text).select && !(other(text).effect == Effect::Reads),
            "{text}"
        );
    }
}

#[test]
fn the_format_clause_is_the_last_one_outside() {
    assert_eq!(
        other("SELECT 1 FORMAT JSON").format.as_deref(),
        Some("JSON")
    );
    assert_eq!(
        other("SELECT 1 format JSONEachRow settings a = 1;")
            .format
            .as_deref(),
        Some("JSONEachRow")
    );
    assert_eq!(other("SELECT 'FORMAT JSON'").format, None);
    assert_eq!(other("SELECT format('{}', 1)").format, None);
    assert_eq!(other("SELECT format FROM t").format, None);
    assert_eq!(other("SELECT 1 AS format -- FORMAT CSV").format, None);
}

#[test]
fn a_semicolon_may_end_but_not_separate() {
    assert_eq!(other("SELECT 1; ; -- end").text, b"SELECT 1");
    refused("SELECT 1; SELECT 2", 62);
    refused("INSERT INTO t FORMAT CSV; 1", 62);
}

#[test]
fn what_belongs_to_the_console_or_its_files_is_refused() {
    refused("", 62);
    refused(" -- nothing\n", 62);
    refused("\\l", 62);
    refused("SELECT 1 INTO OUTFILE 'x'", 358);
    refused("(SELECT 1 INTO OUTFILE 'x')", 358);
    refused("SELECT \u{2018}'\u{2019} INTO OUTFILE 'x' -- '", 358);
    refused("SELECT 1 INTO\u{2003}OUTFILE 'x'", 358);
    refused("INSERT INTO t FROM INFILE 'x' FORMAT CSV", 78);
    refused("INSERT INTO t (SELECT) FROM INFILE 'x' FORMAT CSV", 78);
    refused(
        "INSERT INTO t SELECT * FROM input('a Int8') FORMAT CSV 1",
        48,
    );
    refused("exit", 62);
}

#[test]
fn totals_are_not_written_block_by_block() {
    assert!(other("SELECT a, count() FROM t GROUP BY a WITH TOTALS").whole);
    assert!(!other("SELECT 'TOTALS'").whole);
}

#[test]
fn kill_finds_the_id_that_the_client_chose() {
    let text = other("KILL QUERY WHERE query_id = 'query_id' SYNC").text;
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.contains("Settings['log_comment']) = 'query_id' SYNC"),
        "{text}"
    );
    let condition = |text: &str| {
        let kills = other(text).kills;
        kills.map(|condition| String::from_utf8_lossy(&condition).trim().to_owned())
    };
    assert_eq!(
        condition("KILL QUERY WHERE user = 'SYNC' SYNC FORMAT Null").as_deref(),
        Some("WHERE user = 'SYNC'")
    );
    assert_eq!(
        condition("kill query where (1) async").as_deref(),
        Some("where (1)")
    );
    assert_eq!(condition("KILL QUERY WHERE 1 TEST"), None);
    assert_eq!(condition("KILL MUTATION WHERE 1"), None);
    assert_eq!(condition("SELECT 'KILL QUERY WHERE 1'"), None);
}

/// Would catch a statement of a kind that nobody has thought about.
#[test]
fn only_listed_kinds_are_run() {
    for text in [
        "BACKUP TABLE t TO File('x')",
        "RESTORE TABLE t FROM File('x')",
        "GRANT ALL ON *.* TO default",
        "REVOKE ALL ON *.* FROM default",
        "EXECUTE AS admin SELECT 1",
        "COPY t TO STDOUT",
        "SNAPSHOT TABLE t TO Disk('d', 'p')",
        "MOVE USER u TO x",
        "WATCH v",
        "BEGIN TRANSACTION",
        "LOAD x",
    ] {
        refused(text, 62);
    }
}

#[test]
fn an_insert_with_a_prelude_writes() {
    let text = "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x";
    assert!(other(text).effect == Effect::Writes && !other(text).select);
    let text = "WITH x AS (SELECT 1) SELECT 'INSERT INTO'";
    assert!(other(text).effect == Effect::Reads);
}
