//! The engine's own configuration: what its only user may do.
//! Invariant: a list of what is allowed. A privilege, table engine or source that is not named here
//! is refused by the engine itself, also one that its next version brings.
//!
//! The file is named to the engine even where it says little, because an engine that is told of none
//! takes a `config.xml` out of the directory it runs in, or out of the home directory.

use std::{fmt::Write as _, io, path::Path};

use crate::{
    exception::{Exception, Own},
    lexer::{Kind, Lexer},
    sources::Source,
};

/// On every database and table.
const PRIVILEGES: &[&str] = &[
    "SHOW",
    "SELECT",
    "INSERT",
    "ALTER",
    "CREATE DATABASE",
    "CREATE TABLE",
    "CREATE VIEW",
    "CREATE TEMPORARY TABLE",
    "CREATE ARBITRARY TEMPORARY TABLE",
    "DROP",
    "UNDROP TABLE",
    "TRUNCATE",
    "OPTIMIZE",
    "CHECK",
    "KILL QUERY",
    "SYSTEM MERGES",
    "SYSTEM TTL MERGES",
    "SYSTEM DROP CACHE",
    "SYSTEM FLUSH LOGS",
    "SYSTEM WAIT LOADING PARTS",
];

/// Engines whose data lie in the data directory or in memory.
const ENGINES: &[&str] = &[
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "CoalescingMergeTree",
    "GraphiteMergeTree",
    "Log",
    "TinyLog",
    "StripeLog",
    "Memory",
    "Null",
    "Set",
    "Join",
    "Buffer",
    "Merge",
    "View",
    "MaterializedView",
    "GenerateRandom",
    "Alias",
    "Atomic",
];

/// Refuses a CREATE of a table engine that is not on the list. The engine's grants say the same of
/// most; those that run a program need none.
pub(crate) fn check_engine(text: &[u8], sources: &[Source]) -> Result<(), Exception> {
    let mut tokens = Lexer::new(text).filter(|token| token.depth == 0);
    let first = tokens.next();
    if !first.is_some_and(|first| first.is(text, "CREATE") || first.is(text, "ATTACH")) {
        return Ok(());
    }
    // Behind the query of a view, the word may be a column's name.
    let mut clause = tokens
        .take_while(|token| !token.is(text, "SELECT") && !token.is(text, "WITH"))
        .skip_while(|token| !token.is(text, "ENGINE"))
        .skip(1)
        .skip_while(|token| token.kind == Kind::Sign(b'='));
    let Some(name) = clause.next() else {
        return Ok(());
    };
    let name = String::from_utf8_lossy(&text[name.start..name.end]).into_owned();
    let of_sources = sources.iter().flat_map(|source| source.engines());
    if ENGINES
        .iter()
        .chain(of_sources)
        .any(|engine| *engine == name)
    {
        return Ok(());
    }
    let message = format!("the engine {name} is none of those that are allowed here");
    Err(Exception::own(Own::AccessDenied, message))
}

/// Settings that name a file, or that change how a statement is read after it was looked at.
const FIXED: &[(&str, &str)] = &[
    ("implicit_select", "0"),
    ("allow_introspection_functions", "0"),
    ("dialect", "clickhouse"),
    ("format_schema", ""),
    ("output_format_schema", ""),
];

/// Writes both files and returns the arguments that name them to the engine.
pub(crate) fn write(
    directory: &Path,
    user_files: &Path,
    sources: &[Source],
) -> io::Result<Vec<String>> {
    let users = directory.join("users.xml");
    let config = directory.join("config.xml");
    std::fs::write(&users, users_xml(sources))?;
    std::fs::write(&config, config_xml(&users, user_files))?;
    Ok(vec![format!("--config-file={}", config.display())])
}

fn config_xml(users: &Path, user_files: &Path) -> String {
    format!(
        "<clickhouse>\n\
         <users_config>{users}</users_config>\n\
         <user_files_path>{user_files}/</user_files_path>\n\
         <custom_local_disks_base_directory>{user_files}/</custom_local_disks_base_directory>\n\
         <access_control_improvements>\
         <table_engines_require_grant>true</table_engines_require_grant>\
         </access_control_improvements>\n\
         </clickhouse>\n",
        users = escaped(users),
        user_files = escaped(user_files),
    )
}

fn users_xml(sources: &[Source]) -> String {
    let mut profile = String::new();
    let mut constraints = String::new();
    for (name, value) in FIXED {
        // Writing to a String cannot fail.
        let _ = write!(profile, "<{name}>{value}</{name}>");
        let _ = write!(constraints, "<{name}><const/></{name}>");
    }
    let mut grants = Vec::new();
    grants.push(format!("GRANT {} ON *.*", PRIVILEGES.join(", ")));
    let engines = sources.iter().flat_map(|source| source.engines());
    for engine in ENGINES.iter().chain(engines) {
        grants.push(format!("GRANT TABLE ENGINE ON {engine}"));
    }
    for source in sources {
        grants.push(format!("GRANT READ, WRITE ON {}", source.privilege()));
    }
    let query = |grant: String| format!("<query>{grant}</query>");
    let grants: Vec<String> = grants.into_iter().map(query).collect();
    let grants = grants.join("\n") + "\n";
    format!(
        "<clickhouse>\n\
         <profiles><default>{profile}<constraints>{constraints}</constraints></default></profiles>\n\
         <users><default>\n\
         <password></password>\n\
         <networks><ip>::/0</ip></networks>\n\
         <profile>default</profile>\n\
         <quota>default</quota>\n\
         <grants>\n{grants}</grants>\n\
         </default></users>\n\
         <quotas><default></default></quotas>\n\
         </clickhouse>\n"
    )
}

fn escaped(path: &Path) -> String {
    path.display()
        .to_string()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_granted_only_where_it_is_named() {
        let without = users_xml(&[]);
        let with = users_xml(&[Source::Url]);
        assert!(!without.contains("URL"), "{without}");
        assert!(with.contains("<query>GRANT READ, WRITE ON URL</query>"));
        assert!(with.contains("<query>GRANT TABLE ENGINE ON URL</query>"));
        assert!(!with.contains("FILE"));
    }

    #[test]
    fn only_listed_engines_are_created() {
        let allowed = |text: &str| check_engine(text.as_bytes(), &[Source::File]).is_ok();
        for text in [
            "CREATE TABLE t (engine Executable) ENGINE = MergeTree ORDER BY engine",
            "CREATE TABLE t (a Int8) engine Memory",
            "CREATE TABLE t (a Int8) ENGINE = File(CSV)",
            "CREATE TABLE t AS u",
            "CREATE DATABASE d ENGINE = Atomic",
            "CREATE VIEW v AS SELECT engine FROM system.tables WHERE engine = 'x'",
            "SELECT engine = Executable FROM t",
        ] {
            assert!(allowed(text), "{text}");
        }
        for text in [
            "CREATE TABLE t (a Int8) ENGINE = Executable('x', CSV)",
            "CREATE TABLE t (a Int8) ENGINE ExecutablePool('x', CSV)",
            "CREATE TABLE t (a Int8) ENGINE = `Executable`('x', CSV)",
            "CREATE OR REPLACE TABLE t (a Int8) ENGINE = URL('x')",
            "CREATE MATERIALIZED VIEW v ENGINE = Executable('x', CSV) AS SELECT 1",
            "ATTACH TABLE t UUID 'x' (a Int8) ENGINE = Executable('x', CSV)",
            "CREATE DATABASE d ENGINE = Filesystem('/')",
        ] {
            assert!(!allowed(text), "{text}");
        }
    }

    #[test]
    fn a_path_stays_text() {
        let config = config_xml(Path::new("/a&b/<c>"), Path::new("/d"));
        assert!(config.contains("<users_config>/a&amp;b/&lt;c&gt;</users_config>"));
    }
}
