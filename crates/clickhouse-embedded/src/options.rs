//! What the operator asks for.
//! Invariant: every problem is reported at once, and the password appears in none of them.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use clap::Parser;

use crate::sources::{self, Source};

/// Flags as given, before anything is checked.
#[derive(Debug, Parser)]
#[command(
    name = "clickhouse-embedded",
    version,
    about = "The ClickHouse engine in one process, behind ClickHouse's HTTP protocol"
)]
pub struct RawOptions {
    /// The engine, libchdb.so; by default the one in Barograph's cache.
    #[arg(long, env = "CHDB_LIBRARY")]
    library: Option<PathBuf>,
    /// Where the data lives; created if need be.
    #[arg(long, env = "CLICKHOUSE_PATH")]
    path: Option<PathBuf>,
    /// Address and port; port 0 takes a free one.
    #[arg(long, env = "CLICKHOUSE_LISTEN", default_value = "127.0.0.1:8123")]
    listen: String,
    /// The only user there is.
    #[arg(long, env = "CLICKHOUSE_USER", default_value = "default")]
    user: String,
    /// The user's password.
    #[arg(
        long,
        env = "CLICKHOUSE_PASSWORD",
        default_value = "",
        hide_env_values = true
    )]
    password: String,
    /// The database of requests that name none; created if need be.
    #[arg(long, env = "CLICKHOUSE_DATABASE", default_value = "default")]
    database: String,
    /// How many queries read at once (1 to 256); more wait their turn. For every four of them there is
    /// one more place, for what writes.
    #[arg(long, env = "CLICKHOUSE_CONNECTIONS", default_value = "8")]
    connections: String,
    /// How many clients may be connected at once; more are told so and sent away.
    #[arg(long, env = "CLICKHOUSE_MAX_CLIENTS", default_value = "512")]
    max_clients: String,
    /// How many seconds a client may send or read nothing in the midst of a request (1 to 3600).
    #[arg(long, env = "CLICKHOUSE_PATIENCE", default_value = "30")]
    patience: String,
    /// What statements may reach besides tables: `none`, or a list of file (under the data
    /// directory's `user_files`), url, remote, mysql, postgres, sqlite, odbc, jdbc, hdfs, s3, azure,
    /// kafka, mongo, redis.
    #[arg(long, env = "CLICKHOUSE_SOURCES", default_value = "file")]
    sources: String,
    /// Gets the bound address as soon as requests are answered.
    #[arg(long, env = "CLICKHOUSE_READY_FILE")]
    ready_file: Option<PathBuf>,
}

/// A password; prints as `***`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Compares in a time that does not depend on where the difference is.
    pub fn matches(&self, given: &str) -> bool {
        let (own, given) = (self.0.as_bytes(), given.as_bytes());
        let difference = own.iter().zip(given).fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == given.len() && difference == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Checked options.
#[derive(Debug, Clone)]
pub struct Options {
    pub library: PathBuf,
    pub path: PathBuf,
    pub listen: SocketAddr,
    pub user: String,
    pub password: Secret,
    pub database: String,
    pub connections: usize,
    pub max_clients: usize,
    pub patience: Duration,
    pub sources: Vec<Source>,
    pub ready_file: Option<PathBuf>,
}

/// Everything that is wrong with the options, one line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

impl RawOptions {
    /// Checks every option and reports all that is wrong.
    pub fn check(self) -> Result<Options, Problems> {
        let mut problems = Vec::new();
        let library = self.library.or_else(default_library_path);
        match &library {
            None => problems
                .push("--library: not given, and there is no home directory to look in".to_owned()),
            Some(path) if !path.is_file() => {
                problems.push(format!("--library: no such file: {}", path.display()));
            }
            Some(_) => {}
        }
        if self
            .path
            .as_ref()
            .is_none_or(|path| path.as_os_str().is_empty())
        {
            problems.push("--path: the data directory is missing".to_owned());
        }
        let listen = self
            .listen
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next());
        if listen.is_none() {
            problems.push(format!(
                "--listen: not an address with a port: {}",
                self.listen
            ));
        }
        let connections = self
            .connections
            .parse()
            .ok()
            .filter(|n| (1..=256).contains(n));
        if connections.is_none() {
            problems.push(format!(
                "--connections: not a number from 1 to 256: {}",
                self.connections
            ));
        }
        let mut number = |name: &str, text: &str, range: std::ops::RangeInclusive<u32>| {
            let found = text.parse().ok().filter(|n| range.contains(n));
            if found.is_none() {
                problems.push(format!(
                    "{name}: not a number from {} to {}: {text}",
                    range.start(),
                    range.end()
                ));
            }
            found.unwrap_or(*range.start())
        };
        let max_clients = number("--max-clients", &self.max_clients, 1..=100_000) as usize;
        let patience = number("--patience", &self.patience, 1..=3600);
        let patience = Duration::from_secs(patience.into());
        let allowed = sources::parse(&self.sources);
        if let Err(unknown) = &allowed {
            problems.push(format!("--sources: {unknown}"));
        }
        for (name, value) in [("--user", &self.user), ("--database", &self.database)] {
            if value.is_empty() {
                problems.push(format!("{name}: must not be empty"));
            }
        }
        let (Some(library), Some(path), Some(listen), Some(connections), Ok(sources), true) = (
            library,
            self.path,
            listen,
            connections,
            allowed,
            problems.is_empty(),
        ) else {
            return Err(Problems(problems));
        };
        let password = Secret::new(self.password);
        let (user, database, ready_file) = (self.user, self.database, self.ready_file);
        Ok(Options {
            library,
            path,
            listen,
            user,
            password,
            database,
            connections,
            max_clients,
            patience,
            sources,
            ready_file,
        })
    }
}

impl Options {
    /// What the engine keeps.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The only directory that `file()` sees.
    pub fn user_files(&self) -> PathBuf {
        self.data().join("user_files")
    }
}

/// The engine's version, as its package names it.
pub const ENGINE_VERSION: &str = "26.7.3-stable.1";

/// Where the engine is looked for when no `--library` is given:
/// `$BAROGRAPH_CACHE_DIR`, else `$XDG_CACHE_HOME/barograph`, else `~/.cache/barograph`.
pub fn default_library_path() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("BAROGRAPH_CACHE_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("barograph")))
        .or_else(|| set("HOME").map(|home| home.join(".cache").join("barograph")))?;
    Some(
        cache
            .join(format!("clickhouse-{ENGINE_VERSION}"))
            .join("libchdb.so"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Result<Options, Problems> {
        let arguments = std::iter::once("clickhouse-embedded").chain(arguments.iter().copied());
        RawOptions::try_parse_from(arguments)
            .expect("flags are known")
            .check()
    }

    #[test]
    fn every_problem_is_reported_and_no_secret() {
        let given = [
            "--library=/nowhere/libchdb.so",
            "--listen=nonsense",
            "--connections=0",
            "--user=",
            "--password=hunter2",
        ];
        let problems = options(&given).expect_err("are refused").to_string();
        for name in ["--library", "--path", "--listen", "--connections", "--user"] {
            assert!(problems.contains(name), "{name} in {problems}");
        }
        assert!(!problems.contains("hunter2"));
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn passwords_are_compared_whole() {
        let secret = Secret::new("abc");
        assert!(secret.matches("abc"));
        for other in ["", "ab", "abcd", "abd"] {
            assert!(!secret.matches(other), "{other}");
        }
        assert!(Secret::new("").matches(""));
    }
}
