//! What every part of a stack stands on: the data directory, the programs, the settings.
//!
//! Invariant: a data directory belongs to one stack at a time. Its lock is held until the stack is
//! dropped, and a new stack begins only when no process of an earlier one is left, even if that
//! one's owner was killed.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{fs::FlockOperation, io::Errno};

use crate::{
    StackError,
    binaries::Binaries,
    cache,
    child::Part,
    clickhouse,
    config::StackConfig,
    fetch::{Fetcher, hex},
    ports::{Claim, random_bytes},
    progress::{Event, Progress},
    requirements,
};

/// Longer than any part's grace.
const LEFTOVERS_DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Ground {
    pub(crate) config: StackConfig,
    pub(crate) data_dir: PathBuf,
    pub(crate) binaries: Binaries,
    pub(crate) fetcher: Fetcher,
    pub(crate) java: PathBuf,
    pub(crate) password: String,
    pub(crate) progress: Progress,
    _lock: File,
}

/// Which of the two stores a stack has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) kafka: bool,
    pub(crate) clickhouse: bool,
}

impl Ground {
    pub(crate) async fn prepare(
        config: StackConfig,
        needs: Needs,
        progress: Progress,
    ) -> Result<Self, StackError> {
        let data_dir = absolute(&config.data_dir)?;
        cache::create_private_dir(&data_dir)?;
        cache::create_private_dir(&data_dir.join("logs"))?;
        let lock = lock(&data_dir)?;
        no_leftovers(&data_dir, &progress).await?;

        let binaries = Binaries::find()?;
        let fetcher = Fetcher {
            cache: absolute(&config.cache_dir)?,
            supervisor: binaries.barograph().clone(),
        };
        let java = check(&config, needs, &fetcher, &binaries)?;
        if config.fresh {
            forget(&data_dir)?;
        }
        let password = match &config.password {
            Some(password) => password.clone(),
            None => kept_password(&data_dir.join("clickhouse-password"))?,
        };
        Ok(Self {
            config,
            data_dir,
            binaries,
            fetcher,
            java,
            password,
            progress,
            _lock: lock,
        })
    }

    /// A part with its log under the data directory.
    pub(crate) fn part(
        &self,
        name: &str,
        program: PathBuf,
        args: Vec<OsString>,
        grace: Duration,
    ) -> Part {
        Part {
            name: name.to_owned(),
            program,
            args,
            env: Vec::new(),
            log: self.data_dir.join("logs").join(format!("{name}.log")),
            grace,
            alive: Some(alive(&self.data_dir)),
            supervisor: self.binaries.barograph().clone(),
        }
    }
}

/// Finds everything that stands in the way, and says it together.
fn check(
    config: &StackConfig,
    needs: Needs,
    fetcher: &Fetcher,
    binaries: &Binaries,
) -> Result<PathBuf, StackError> {
    let mut problems = Vec::new();
    let mut java = PathBuf::new();
    let mut claims = config.claims.clone();
    let [kafka, controller, clickhouse] = config.ports.claims_of_stores();
    if needs.kafka {
        match requirements::java() {
            Ok(found) => java = found.program,
            Err(problem) => problems.push(problem),
        }
        if !fetcher.has_kafka() {
            problems.extend(requirements::maven().err());
        }
        claims.extend([kafka, controller]);
    }
    if needs.clickhouse {
        problems.extend(requirements::platform().err());
        problems.extend(missing_program(binaries, clickhouse::PROGRAM));
        if !fetcher.has_clickhouse() {
            problems.extend(requirements::npm().err());
            problems.extend(requirements::tar().err());
        }
        claims.push(clickhouse);
    }
    for program in &config.programs {
        problems.extend(missing_program(binaries, program));
    }
    problems.extend(claims.iter().filter_map(Claim::problem));
    if problems.is_empty() {
        Ok(java)
    } else {
        Err(StackError::NotPossibleHere(problems))
    }
}

fn missing_program(binaries: &Binaries, name: &str) -> Option<String> {
    let missing = binaries.sibling(name).err()?;
    Some(missing.to_string())
}

fn absolute(path: &Path) -> Result<PathBuf, StackError> {
    std::path::absolute(path)
        .map_err(|source| StackError::io(format!("find {}", path.display()), source))
}

fn alive(data_dir: &Path) -> PathBuf {
    data_dir.join("alive")
}

fn open(path: &Path) -> Result<File, StackError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| StackError::io(format!("open {}", path.display()), source))
}

/// Whether somebody else holds the lock of that file.
fn try_lock(file: &File, path: &Path) -> Result<bool, StackError> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(StackError::io(
            format!("lock {}", path.display()),
            error.into(),
        )),
    }
}

fn lock(data_dir: &Path) -> Result<File, StackError> {
    let path = data_dir.join("lock");
    let file = open(&path)?;
    if try_lock(&file, &path)? {
        return Ok(file);
    }
    Err(StackError::DataDirInUse(data_dir.to_owned()))
}

/// Whether a stack runs on that data directory now.
pub fn in_use(data_dir: &Path) -> bool {
    let path = data_dir.join("lock");
    let Ok(file) = File::open(&path) else {
        return false;
    };
    !try_lock(&file, &path).unwrap_or(true)
}

/// Each supervisor holds the lock of `alive` as long as its part lives.
async fn no_leftovers(data_dir: &Path, progress: &Progress) -> Result<(), StackError> {
    const LOOK_AGAIN: Duration = Duration::from_millis(50);
    let path = alive(data_dir);
    let file = open(&path)?;
    let started = Instant::now();
    let mut told = false;
    while !try_lock(&file, &path)? {
        if started.elapsed() > LEFTOVERS_DEADLINE {
            return Err(StackError::Leftovers(data_dir.to_owned()));
        }
        if !told {
            told = true;
            progress(Event::Waiting {
                on: "the processes of the previous stack, which are ending".to_owned(),
            });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Removes what earlier stacks stored, and nothing else that may lie there.
fn forget(data_dir: &Path) -> Result<(), StackError> {
    for name in ["kafka", "clickhouse", "logs"] {
        cache::remove_dir(&data_dir.join(name))?;
    }
    cache::create_private_dir(&data_dir.join("logs"))
}

/// A password that only the owner can read. A known one would let any page in a browser on this
/// machine use the database.
fn kept_password(path: &Path) -> Result<String, StackError> {
    let failed = |source| StackError::io(format!("keep {}", path.display()), source);
    match fs::read_to_string(path) {
        Ok(password) if !password.trim().is_empty() => return Ok(password.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut bytes = [0; 12];
    random_bytes(&mut bytes)?;
    let password = hex(&bytes);
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| writeln!(file, "{password}"))
        .map_err(failed)?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_belongs_to_one_stack() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(in_use(dir.path()));
        let second = lock(dir.path()).unwrap_err().to_string();
        assert!(second.contains("is in use by another stack"), "{second}");
        drop(first);
        assert!(!in_use(dir.path()));
        lock(dir.path()).unwrap();
    }

    #[test]
    fn the_password_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clickhouse-password");
        let made = kept_password(&path).unwrap();
        assert_eq!(made.len(), 24);
        assert_eq!(kept_password(&path).unwrap(), made);
    }
}
