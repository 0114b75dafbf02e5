//! A directory of fetched things, shared by all stacks of a user.
//!
//! Invariant: a folder that is there is complete. It is filled under another name by the one
//! process that holds its lock, and renamed when done.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{fs::FlockOperation, io::Errno};

use crate::{
    StackError,
    progress::{Event, Progress},
};

/// `BAROGRAPH_CACHE_DIR`, else `$XDG_CACHE_HOME/barograph`, else `~/.cache/barograph`.
pub fn default_dir() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("BAROGRAPH_CACHE_DIR")
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("barograph")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".cache/barograph")))
        .unwrap_or_else(|| std::env::temp_dir().join("barograph-cache"))
}

/// The folder `name` of the cache, filled by `fill` unless it is there.
pub(crate) async fn folder(
    cache: &Path,
    name: &str,
    progress: &Progress,
    fill: impl AsyncFnOnce(&Path) -> Result<(), StackError>,
) -> Result<PathBuf, StackError> {
    let complete = cache.join(name);
    if complete.is_dir() {
        return Ok(complete);
    }
    create_dir(cache)?;
    let _lock = lock(&cache.join(format!("{name}.lock")), progress).await?;
    if complete.is_dir() {
        return Ok(complete); // somebody else was faster
    }
    let partial = cache.join(format!(".{name}.partial"));
    remove_dir(&partial)?; // of a process that did not finish
    create_dir(&partial)?;
    let filled = fill(&partial).await;
    if let Err(error) = filled {
        remove_dir(&partial)?;
        return Err(error);
    }
    fs::rename(&partial, &complete)
        .map_err(|source| StackError::io(format!("create {}", complete.display()), source))?;
    Ok(complete)
}

/// Waits for the lock without holding a thread, so that the caller can give up at any time.
async fn lock(path: &Path, progress: &Progress) -> Result<File, StackError> {
    const LOOK_AGAIN: Duration = Duration::from_millis(100);
    let failed = |source| StackError::io(format!("lock {}", path.display()), source);
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(failed)?;
    let mut told = false;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
        if !told {
            told = true;
            progress(Event::Waiting {
                on: "another process that fetches the same thing".to_owned(),
            });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

pub(crate) fn create_dir(path: &Path) -> Result<(), StackError> {
    fs::create_dir_all(path)
        .map_err(|source| StackError::io(format!("create {}", path.display()), source))
}

/// A directory that is the owner's alone, also where an earlier version left it open to others.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), StackError> {
    let failed = |source| StackError::io(format!("create {}", path.display()), source);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Removes a directory with everything in it, if it is there.
pub(crate) fn remove_dir(path: &Path) -> Result<(), StackError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StackError::io(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Bytes of all files below; what vanishes meanwhile does not count.
pub(crate) fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size_of(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::progress::silent;

    #[tokio::test]
    async fn two_at_once_fill_a_folder_once() {
        let cache = tempfile::tempdir().unwrap();
        let fills = AtomicUsize::new(0);
        let fill = async |partial: &Path| {
            fills.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            fs::write(partial.join("part"), "bits").unwrap();
            Ok(())
        };
        let silent = silent();
        let (one, other) = tokio::join!(
            folder(cache.path(), "thing-1", &silent, fill),
            folder(cache.path(), "thing-1", &silent, fill),
        );
        assert_eq!(one.unwrap(), other.unwrap());
        assert_eq!(fills.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_private_directory_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        for _ in 0..2 {
            create_private_dir(&path).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[tokio::test]
    async fn a_failed_fill_leaves_nothing_that_looks_complete() {
        let cache = tempfile::tempdir().unwrap();
        let silent = silent();
        let failed = folder(cache.path(), "thing-1", &silent, async |partial: &Path| {
            fs::write(partial.join("half"), "bits").unwrap();
            Err(StackError::NoFreePorts)
        })
        .await;
        assert!(failed.is_err());
        let again = folder(cache.path(), "thing-1", &silent, async |partial: &Path| {
            fs::write(partial.join("whole"), "bits").unwrap();
            Ok(())
        });
        let names: Vec<_> = fs::read_dir(again.await.unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["whole"]);
    }
}
