//! The small process between a stack and each of its parts.
//!
//! Invariant: when whoever started it is gone, for whatever reason, the part is gone too.
//! The starter holds the write end of the supervisor's standard input and never writes to it; the
//! kernel closes it even after `kill -9`. Should the supervisor itself be killed, the kernel kills
//! the part: that order is left with the kernel by the part's own process just before it becomes
//! the part ([`become_part`]), because the order does not survive a fork.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::AsFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, Mode},
    process::{Pid, Signal, getppid, kill_process},
};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe,
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

/// A log that has grown beyond this starts anew; one older file is kept.
const LARGEST_LOG: u64 = 256 * 1024 * 1024;

#[derive(Debug)]
pub struct Job {
    /// Takes the part's standard output and standard error, appended.
    pub log: PathBuf,
    /// Locked (shared) as long as the part lives, so that a successor can wait for the end.
    pub alive: Option<PathBuf>,
    /// How long the part may take between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The part: program and arguments.
    pub command: Vec<OsString>,
}

#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error("no command to supervise")]
    NoCommand,
    #[error("standard input of a supervisor must be a pipe that its starter holds open: {0}")]
    NoPipe(io::Error),
    #[error("cannot use {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot run {}: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs the part until it ends; answers with its exit code, or 128 + the signal that ended it.
///
/// Tells its standard output `started PID`, then `exited CODE` or `killed SIGNAL`.
pub fn supervise(job: &Job) -> Result<u8, SuperviseError> {
    // What a part stores and logs is its owner's alone.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let _alive = job.alive.as_deref().map(hold).transpose()?;
    let log = open_log(&job.log)?;
    // One thread: the kernel ties the death signal to the thread that spawned the part.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(watch(job, log))
}

async fn watch(job: &Job, log: File) -> Result<u8, SuperviseError> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let mut starter = pipe::Receiver::from_owned_fd(stdin).map_err(SuperviseError::NoPipe)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;

    let mut part = spawn(job, log)?;
    let pid = part.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    report(format_args!("started {}", pid.map_or(0, Pid::as_raw_pid)));

    let mut kill_at = None;
    let status = loop {
        tokio::select! {
            status = part.wait() => break status?,
            () = gone(&mut starter), if kill_at.is_none() => {}
            _ = terminate.recv(), if kill_at.is_none() => {}
            _ = interrupt.recv(), if kill_at.is_none() => {}
            _ = hang_up.recv(), if kill_at.is_none() => {}
            () = at(kill_at), if kill_at.is_some() => {
                part.start_kill()?;
                continue;
            }
        }
        // Not reaped yet, so the number is still this process's own.
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
            let _ = kill_process(pid, Signal::CONT); // a stopped process would never see the first one
        }
        kill_at = Some(Instant::now() + job.grace);
    };
    Ok(conclude(status))
}

fn conclude(status: ExitStatus) -> u8 {
    if let Some(signal) = status.signal() {
        report(format_args!("killed {signal}"));
        return 128_u8.saturating_add(signal as u8);
    }
    let code = status.code().unwrap_or(-1);
    report(format_args!("exited {code}"));
    code as u8
}

/// Ends when the other side of the pipe is closed. Whatever is written is not meant for anybody.
async fn gone(starter: &mut pipe::Receiver) {
    let mut ignored = [0; 64];
    while matches!(starter.read(&mut ignored).await, Ok(1..)) {}
}

async fn at(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        sleep_until(deadline).await;
    }
}

/// The starter may be gone: then there is nobody to tell.
fn report(line: std::fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn spawn(job: &Job, log: File) -> Result<Child, SuperviseError> {
    if job.command.is_empty() {
        return Err(SuperviseError::NoCommand);
    }
    let own = own_program()?;
    let errors = log.try_clone()?;
    Command::new(&own)
        .arg0("barograph")
        .arg("supervise")
        .arg("--become-part-of")
        .arg(std::process::id().to_string())
        .arg("--")
        .args(&job.command)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|source| SuperviseError::Spawn {
            program: own,
            source,
        })
}

/// Stays right when the file of this program was replaced while it runs.
fn own_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

/// Turns this process into the part, to be killed by the kernel when `supervisor` ends.
/// Returns only when that fails.
pub fn become_part(supervisor: u32, command: &[OsString]) -> SuperviseError {
    let Some((program, arguments)) = command.split_first() else {
        return SuperviseError::NoCommand;
    };
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return SuperviseError::Io(error.into());
    }
    // It may have ended before the order was in place.
    if getppid().map(Pid::as_raw_pid) != Some(supervisor.cast_signed()) {
        return SuperviseError::Io(io::Error::other("the supervisor is gone"));
    }
    let source = std::process::Command::new(program).args(arguments).exec();
    SuperviseError::Spawn {
        program: program.into(),
        source,
    }
}

fn hold(path: &Path) -> Result<File, SuperviseError> {
    let file = |source| SuperviseError::File {
        path: path.to_owned(),
        source,
    };
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(file)?;
    rustix::fs::flock(&lock, FlockOperation::LockShared).map_err(|error| file(error.into()))?;
    Ok(lock)
}

fn open_log(path: &Path) -> Result<File, SuperviseError> {
    let file = |source| SuperviseError::File {
        path: path.to_owned(),
        source,
    };
    if path.metadata().is_ok_and(|found| found.len() > LARGEST_LOG) {
        std::fs::rename(path, path.with_extension("log.old")).map_err(file)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(file)
}
