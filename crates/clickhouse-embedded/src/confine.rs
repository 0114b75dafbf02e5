//! What this process may touch, whatever a statement asks for.
//! Invariant: files are made for the owner alone, and where the kernel can (Landlock), nothing outside
//! the data directory is written, and nothing is read but what the engine itself needs to run.
//!
//! The engine is built to be somebody's console: it takes every path of the machine for a user's
//! file. Its grants ([`crate::grants`]) switch its sources off; this is the wall behind them, for the
//! ways that its grants don't know.

use std::{
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, path_beneath_rules,
};
use rustix::fs::Mode;

use crate::{options::Options, sources::Source};

/// Why the process cannot be confined.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    #[error("cannot use the data directory {path}: {source}")]
    Directory { path: String, source: io::Error },
    #[error("cannot confine the process to its data directory: {0}")]
    Kernel(#[from] RulesetError),
}

/// How far the process is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement {
    /// The kernel keeps every statement inside the data directory.
    pub by_kernel: bool,
}

/// Read-only places that the engine and the C library look at; those that are not there are left out.
const READ: &[&str] = &[
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/mounts",
    "/proc/net",
    "/proc/stat",
    "/proc/sys",
    "/proc/uptime",
    "/proc/version",
    "/proc/vmstat",
    // Not `environ`, which holds the password, and so not the directory.
    "/proc/self/cgroup",
    "/proc/self/exe",
    "/proc/self/limits",
    "/proc/self/maps",
    "/proc/self/mountinfo",
    "/proc/self/stat",
    "/proc/self/statm",
    "/proc/self/status",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];
/// What TLS needs to know about the world, for sources that are elsewhere.
const READ_FOR_NETWORK: &[&str] = &["/etc/ssl", "/etc/pki", "/usr/share/ca-certificates"];
/// What is there to be written to.
const WRITE: &[&str] = &["/dev/null"];
/// The newest kernel interface whose rights are named here; an older kernel enforces what it knows.
const RIGHTS: ABI = ABI::V4;

/// Makes the directories, and confines this thread and all that it starts. To be called before there
/// is another thread.
pub fn confine(options: &mut Options) -> Result<Confinement, ConfineError> {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    for path in [&mut options.path, &mut options.library]
        .into_iter()
        .chain(&mut options.ready_file)
    {
        if let Ok(absolute) = std::path::absolute(&*path) {
            *path = absolute;
        }
    }
    let user_files = options.user_files();
    own(&options.path)?;
    make(&user_files)?;
    let by_kernel = restrict(options)?;
    // A relative path in a statement is one of a user's file.
    std::env::set_current_dir(&user_files).map_err(|source| failed(&user_files, source))?;
    Ok(Confinement { by_kernel })
}

fn failed(path: &Path, source: io::Error) -> ConfineError {
    ConfineError::Directory {
        path: path.display().to_string(),
        source,
    }
}

fn make(path: &Path) -> Result<(), ConfineError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| failed(path, source))
}

/// The directory is the owner's alone, also one that an earlier version left open to others.
fn own(path: &Path) -> Result<(), ConfineError> {
    make(path)?;
    let permissions = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(path, permissions).map_err(|source| failed(path, source))
}

fn restrict(options: &Options) -> Result<bool, ConfineError> {
    // No program is run from anywhere, neither from a library's place nor from the data directory.
    let (readable, everything) = (
        AccessFs::from_read(RIGHTS) & !AccessFs::Execute,
        AccessFs::from_all(RIGHTS) & !AccessFs::Execute,
    );
    let reaches_out = options.sources.iter().any(|source| *source != Source::File);
    let mut read: Vec<PathBuf> = READ.iter().map(PathBuf::from).collect();
    read.push(options.library.clone());
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(RIGHTS))?;
    if reaches_out {
        read.extend(READ_FOR_NETWORK.iter().map(PathBuf::from));
    } else {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut created = ruleset
        .create()?
        .add_rules(path_beneath_rules(read, readable))?
        .add_rules(path_beneath_rules(WRITE, AccessFs::from_file(RIGHTS)))?
        .add_rules(path_beneath_rules([&options.path], everything))?;
    if let Some(directory) = options.ready_file.as_deref().and_then(Path::parent) {
        created = announce_in(created, directory)?;
    }
    let status = created.restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// The ready file is written beside its place and moved there; nothing is read.
fn announce_in(ruleset: RulesetCreated, directory: &Path) -> Result<RulesetCreated, RulesetError> {
    let rights = AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::Refer;
    ruleset.add_rules(path_beneath_rules([directory], rights))
}
