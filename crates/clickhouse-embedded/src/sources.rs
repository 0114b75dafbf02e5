//! The places outside its tables that statements may be allowed to reach.
//! Invariant: what is not named here cannot be allowed.

use std::{fmt, str::FromStr};

/// One kind of place, as the engine's grants know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Files under `user_files`.
    File,
    Url,
    Remote,
    MySql,
    Postgres,
    Sqlite,
    Odbc,
    Jdbc,
    Hdfs,
    S3,
    Azure,
    Kafka,
    Mongo,
    Redis,
}

/// Name on the command line and in the engine's grants, and the table engines that go with it.
const TABLE: &[(Source, &str, &[&str])] = &[
    (Source::File, "file", &["File"]),
    (Source::Url, "url", &["URL"]),
    (Source::Remote, "remote", &["Distributed", "Remote"]),
    (Source::MySql, "mysql", &["MySQL"]),
    (Source::Postgres, "postgres", &["PostgreSQL"]),
    (Source::Sqlite, "sqlite", &["SQLite"]),
    (Source::Odbc, "odbc", &["ODBC"]),
    (Source::Jdbc, "jdbc", &["JDBC"]),
    (Source::Hdfs, "hdfs", &["HDFS"]),
    (Source::S3, "s3", &["S3"]),
    (Source::Azure, "azure", &["AzureBlobStorage"]),
    (Source::Kafka, "kafka", &["Kafka"]),
    (Source::Mongo, "mongo", &["MongoDB"]),
    (Source::Redis, "redis", &["Redis"]),
];

impl Source {
    fn row(self) -> (&'static str, &'static [&'static str]) {
        TABLE
            .iter()
            .find(|(source, ..)| *source == self)
            .map_or(("", &[]), |(_, name, engines)| (*name, *engines))
    }

    /// What the engine's grants call it.
    pub(crate) fn privilege(self) -> String {
        self.row().0.to_ascii_uppercase()
    }

    pub(crate) fn engines(self) -> &'static [&'static str] {
        self.row().1
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().0)
    }
}

/// A name that is none of a source.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownSource(pub String);

impl fmt::Display for UnknownSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = TABLE.iter().map(|(_, name, _)| *name).collect();
        write!(f, "{:?} is none of {}", self.0, names.join(", "))
    }
}

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        TABLE
            .iter()
            .find(|(_, name, _)| text.eq_ignore_ascii_case(name))
            .map(|(source, ..)| *source)
            .ok_or_else(|| UnknownSource(text.to_owned()))
    }
}

/// A list such as `file,url`; `none` is the empty one.
pub(crate) fn parse(list: &str) -> Result<Vec<Source>, UnknownSource> {
    if list.trim().eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    list.split(',').map(|name| name.trim().parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_sources_or_none() {
        assert_eq!(parse("file, URL"), Ok(vec![Source::File, Source::Url]));
        assert_eq!(parse("none"), Ok(vec![]));
        let refused = parse("file,everything").expect_err("is none").to_string();
        assert!(
            refused.starts_with("\"everything\" is none of file, url"),
            "{refused}"
        );
    }

    #[test]
    fn every_source_has_its_row() {
        for (source, name, _) in TABLE {
            assert_eq!(source.to_string(), *name);
        }
    }
}
