//! One front process per data directory.
//! Invariant: the lock is the kernel's, so it ends with the process, however that ends.

use std::{fs::File, io, path::Path};

use rustix::fs::{FlockOperation, flock};

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another process already serves the data directory {0}")]
    Taken(String),
    /// It cannot be created or written.
    #[error("cannot use the data directory {path}: {source}")]
    Io { path: String, source: io::Error },
}

/// Holds a data directory until it is dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl DirectoryLock {
    /// Creates the directory if need be and takes it.
    pub(crate) fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.display().to_string();
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let file = File::create(directory.join("barograph.lock")).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Taken(path)),
            Err(error) => Err(failed(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_taken_once() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let first = DirectoryLock::acquire(directory.path()).expect("is free");
        assert!(matches!(
            DirectoryLock::acquire(directory.path()),
            Err(LockError::Taken(_))
        ));
        drop(first);
        DirectoryLock::acquire(directory.path()).expect("is free again");
    }
}
