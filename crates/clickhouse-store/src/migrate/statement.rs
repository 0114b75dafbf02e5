//! The statements of a migration's file, each so that doing it twice is doing it once.
//!
//! A runner that is killed leaves a migration half done, and who comes next begins it again. The files
//! that were applied never change, so what makes a statement repeatable (`IF NOT EXISTS`, `IF EXISTS`)
//! is put in here where a file does without it.

/// ClickHouse takes one at a time. A semicolon ends one at the end of a line.
pub(super) fn all_of(sql: &str) -> Vec<String> {
    let without_comments: String = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .fold(String::new(), |text, line| text + line + "\n");
    without_comments
        .split(";\n")
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
        .map(repeatable)
        .collect()
}

/// What a statement begins with, and what makes it repeatable.
const CLAUSES: [(&str, &str); 4] = [
    ("CREATE TABLE", "IF NOT EXISTS"),
    ("CREATE VIEW", "IF NOT EXISTS"),
    ("CREATE MATERIALIZED VIEW", "IF NOT EXISTS"),
    ("DROP", "IF EXISTS"),
];

/// The same within `ALTER TABLE`.
const COMMANDS: [(&str, &str); 5] = [
    ("ADD COLUMN", "IF NOT EXISTS"),
    ("ADD PROJECTION", "IF NOT EXISTS"),
    ("ADD INDEX", "IF NOT EXISTS"),
    ("DROP COLUMN", "IF EXISTS"),
    ("DROP PROJECTION", "IF EXISTS"),
];

fn repeatable(statement: &str) -> String {
    let with = |at: usize, clause: &str| {
        let (before, after) = statement.split_at(at);
        if after.trim_start().starts_with(clause) {
            return statement.to_owned();
        }
        format!("{before} {clause}{after}")
    };
    for (begin, clause) in CLAUSES {
        let Some(rest) = statement.strip_prefix(begin) else {
            continue;
        };
        // What is dropped is named first: a table, a view.
        let kind = match begin {
            "DROP" => rest.trim_start().find(' ').map_or(0, |at| at + 1),
            _ => 0,
        };
        return with(begin.len() + kind, clause);
    }
    if statement.starts_with("ALTER TABLE") {
        // The first one is the statement's own: a projection's text may say anything.
        let first = COMMANDS
            .iter()
            .filter_map(|(command, clause)| {
                Some((statement.find(command)? + command.len(), clause))
            })
            .min();
        if let Some((at, clause)) = first {
            return with(at, clause);
        }
    }
    statement.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::ALL, *};

    #[test]
    fn a_semicolon_inside_a_line_does_not_end_a_statement() {
        assert_eq!(
            all_of("-- a; b\nSELECT ';' AS x,\n 2;\nSELECT 3;\n"),
            ["SELECT ';' AS x,\n 2", "SELECT 3"]
        );
    }

    #[test]
    fn what_a_file_leaves_out_is_put_in_once() {
        for (written, done) in [
            (
                "CREATE TABLE t (x UInt8)",
                "CREATE TABLE IF NOT EXISTS t (x UInt8)",
            ),
            (
                "CREATE TABLE IF NOT EXISTS t (x UInt8)",
                "CREATE TABLE IF NOT EXISTS t (x UInt8)",
            ),
            (
                "CREATE VIEW v AS\nSELECT 1",
                "CREATE VIEW IF NOT EXISTS v AS\nSELECT 1",
            ),
            (
                "CREATE MATERIALIZED VIEW v TO t AS SELECT 1",
                "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT 1",
            ),
            ("DROP TABLE t", "DROP TABLE IF EXISTS t"),
            ("DROP VIEW IF EXISTS v", "DROP VIEW IF EXISTS v"),
            (
                "ALTER TABLE t ADD COLUMN c UInt8",
                "ALTER TABLE t ADD COLUMN IF NOT EXISTS c UInt8",
            ),
            (
                "ALTER TABLE t ADD PROJECTION p\n(\n    SELECT 1\n)",
                "ALTER TABLE t ADD PROJECTION IF NOT EXISTS p\n(\n    SELECT 1\n)",
            ),
            (
                "ALTER TABLE t MODIFY SETTING a = 1",
                "ALTER TABLE t MODIFY SETTING a = 1",
            ),
            (
                "ALTER TABLE t MATERIALIZE PROJECTION p",
                "ALTER TABLE t MATERIALIZE PROJECTION p",
            ),
        ] {
            assert_eq!(repeatable(written), done);
            assert_eq!(repeatable(done), done);
        }
    }

    /// Would catch a statement that fails, or does more, when it is done twice.
    #[test]
    fn every_statement_is_of_a_kind_that_may_be_repeated() {
        for migration in ALL {
            for statement in all_of(migration.sql) {
                let head: Vec<&str> = statement.split_whitespace().take(6).collect();
                let is_known = match head.as_slice() {
                    ["CREATE", "TABLE" | "VIEW", "IF", "NOT", "EXISTS", _]
                    | ["CREATE", "MATERIALIZED", "VIEW", "IF", "NOT", "EXISTS"]
                    | ["CREATE", "OR", "REPLACE", "VIEW", _, "AS"]
                    | ["DROP", "TABLE" | "VIEW", "IF", "EXISTS", ..]
                    | [
                        "ALTER",
                        "TABLE",
                        _,
                        "MODIFY",
                        "SETTING" | "TTL" | "COLUMN" | "COMMENT",
                        _,
                    ]
                    | ["ALTER", "TABLE", _, "MATERIALIZE", ..]
                    // Now is a little later, the second time.
                    | ["ALTER", "TABLE", _, "UPDATE", "recorded_at", "="] => true,
                    [
                        "ALTER",
                        "TABLE",
                        _,
                        "ADD",
                        "COLUMN" | "PROJECTION" | "INDEX",
                        "IF",
                    ]
                    | ["ALTER", "TABLE", _, "DROP", "COLUMN" | "PROJECTION", "IF"] => {
                        // One command a statement: only the first is made repeatable.
                        statement.matches(" ADD ").count() + statement.matches(" DROP ").count()
                            == 1
                    }
                    _ => false,
                };
                assert!(is_known, "{}: {statement}", migration.name);
            }
        }
    }

    /// A runner that was stopped between its look at the lock and its statement, and goes on when others
    /// have applied everything, does that statement once more at the end: it must destroy nothing.
    #[test]
    fn no_table_that_is_dropped_is_ever_made_again_as_a_table() {
        let mut dropped: BTreeSet<String> = BTreeSet::new();
        for migration in ALL {
            for statement in all_of(migration.sql) {
                let words: Vec<&str> = statement.split_whitespace().collect();
                match words.as_slice() {
                    ["DROP", _, "IF", "EXISTS", name, ..] => {
                        dropped.insert((*name).to_owned());
                    }
                    ["CREATE", "TABLE", "IF", "NOT", "EXISTS", name, ..] => {
                        assert!(!dropped.contains(*name), "{}: {name}", migration.name);
                    }
                    _ => {}
                }
            }
        }
    }
}
