//! A handle on one part of the stack: a process under its supervisor.
//!
//! Invariant: the part lives only as long as this handle, and ends in an orderly way when the
//! handle is dropped. Its end, and why, is known to everyone who watches the state.

use std::{
    ffi::OsString,
    fmt,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{ChildStdin, Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use crate::{StackError, log_tail, reason};

/// Lines of a log that are looked at.
const LOOKED_AT: usize = 400;

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Part {
    /// What people call it; also the name of its log file.
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Vec<(String, String)>,
    pub log: PathBuf,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// See [`crate::supervisor::Job::alive`].
    pub alive: Option<PathBuf>,
    /// The program that supervises it.
    pub supervisor: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Exited(i32),
    Killed(i32),
    /// The supervisor was killed, and the kernel killed the part.
    SupervisorGone,
}

impl Ending {
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    fn parse(line: &str) -> Option<Self> {
        let (word, number) = line.trim().split_once(' ')?;
        let number = number.parse().ok()?;
        match word {
            "exited" => Some(Self::Exited(number)),
            "killed" => Some(Self::Killed(number)),
            _ => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(out, "exited with code {code}"),
            Self::Killed(signal) => write!(out, "was killed by signal {signal}"),
            Self::SupervisorGone => write!(out, "was killed with its supervisor"),
        }
    }
}

/// One run of the part after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Counts the runs, from 1.
    pub run: u64,
    pub phase: Phase,
    /// Whether this handle was asked to end the run.
    pub stop_asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Running { pid: u32 },
    Ended(Ending),
}

#[derive(Debug)]
pub struct Child {
    part: Part,
    run: Mutex<Option<Run>>,
    /// Where in the log the newest run begins.
    log_from: AtomicU64,
    state: watch::Sender<State>,
}

#[derive(Debug)]
struct Run {
    /// Closing it asks the supervisor to end the part.
    control: Option<ChildStdin>,
    /// Ends after the supervisor did.
    reader: JoinHandle<()>,
    supervisor: u32,
}

impl Child {
    pub fn start(part: Part) -> Result<Self, StackError> {
        let (state, _) = watch::channel(State {
            run: 0,
            phase: Phase::Ended(Ending::Exited(0)),
            stop_asked: true,
        });
        let child = Self {
            part,
            run: Mutex::new(None),
            log_from: AtomicU64::new(0),
            state,
        };
        child.start_run(&mut child.lock())?;
        Ok(child)
    }

    pub fn name(&self) -> &str {
        &self.part.name
    }

    pub fn log(&self) -> &std::path::Path {
        &self.part.log
    }

    /// The newest lines of the log, oldest first, without the frames of stack traces.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        reason::without_traces(log_tail::last_lines(&self.part.log, LOOKED_AT), count)
    }

    /// Why the newest run ended, as a sentence, if its log says something that is understood.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        let from = self.log_from.load(Ordering::Relaxed);
        reason::of(&log_tail::last_lines_since(&self.part.log, from, LOOKED_AT))
    }

    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Follows the runs; useful to await a condition.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state().phase, Phase::Running { .. })
    }

    /// Process id of the part itself, while it runs.
    pub fn pid(&self) -> Option<u32> {
        match self.state().phase {
            Phase::Running { pid } => Some(pid),
            Phase::Ended(_) => None,
        }
    }

    /// Process id of the supervisor of the newest run.
    pub fn supervisor_pid(&self) -> Option<u32> {
        self.lock().as_ref().map(|run| run.supervisor)
    }

    /// Waits for the end of the current run.
    pub async fn ended(&self) -> Ending {
        let mut states = self.watch();
        loop {
            if let Phase::Ended(ending) = states.borrow_and_update().phase {
                return ending;
            }
            // The sender lives in `self`.
            let _ = states.changed().await;
        }
    }

    /// Asks the part to end (SIGTERM, after the grace SIGKILL) and waits until it has.
    pub async fn stop(&self) -> Ending {
        self.ask_to_stop();
        self.ended().await
    }

    /// As `kill -9` does: no warning. Waits until it is gone.
    pub async fn kill9(&self) -> Ending {
        self.signal(Signal::KILL);
        self.ended().await
    }

    /// SIGSTOP: the process is there and does nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT, after [`Self::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends the current run, if there is one, and starts the next with the same settings.
    pub async fn restart(&self) -> Result<(), StackError> {
        self.stop().await;
        self.start_again()
    }

    /// Starts the next run after the last one has ended. Does nothing while one goes on.
    pub fn start_again(&self) -> Result<(), StackError> {
        let mut run = self.lock();
        if self.is_running() {
            return Ok(());
        }
        self.start_run(&mut run)
    }

    pub(crate) fn ask_to_stop(&self) {
        self.state.send_modify(|state| state.stop_asked = true);
        if let Some(run) = self.lock().as_mut() {
            run.control = None;
        }
    }

    /// As [`Self::stop`], for places that cannot await. The supervisor sees to it that this takes
    /// no longer than the grace.
    pub(crate) fn stop_blocking(&self) {
        self.ask_to_stop();
        let run = self.lock().take();
        if let Some(run) = run {
            let _ = run.reader.join();
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may have ended in this moment, which is no failure.
            let _ = kill_process(pid, signal);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_run(&self, run: &mut Option<Run>) -> Result<(), StackError> {
        let part = &self.part;
        let written = part.log.metadata().map_or(0, |found| found.len());
        self.log_from.store(written, Ordering::Relaxed);
        let not_started = |source| StackError::NotStarted {
            part: part.name.clone(),
            source,
        };
        let mut supervisor = command(part).spawn().map_err(not_started)?;
        let (Some(control), Some(reports)) = (supervisor.stdin.take(), supervisor.stdout.take())
        else {
            return Err(not_started(std::io::Error::other("no pipes")));
        };

        let mut reports = BufReader::new(reports);
        let mut line = String::new();
        let read = reports.read_line(&mut line).map_err(not_started)?;
        let pid = line.trim().strip_prefix("started ");
        let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else {
            let _ = supervisor.wait();
            let lines = self.last_lines(5).join("\n");
            let said = if read == 0 { &lines } else { &line };
            return Err(not_started(std::io::Error::other(format!(
                "its supervisor {} ended at once {said}",
                part.supervisor.display()
            ))));
        };
        let number = self.state().run + 1;
        self.state.send_replace(State {
            run: number,
            phase: Phase::Running { pid },
            stop_asked: false,
        });

        let supervisor_pid = supervisor.id();
        let state = self.state.clone();
        let reader = std::thread::Builder::new()
            .name(format!("watch-{}", part.name))
            .spawn(move || {
                let mut ending = Ending::SupervisorGone;
                for line in reports.lines().map_while(Result::ok) {
                    ending = Ending::parse(&line).unwrap_or(ending);
                }
                let _ = supervisor.wait();
                state.send_modify(|state| state.phase = Phase::Ended(ending));
            })
            .map_err(not_started)?;
        *run = Some(Run {
            control: Some(control),
            reader,
            supervisor: supervisor_pid,
        });
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop_blocking();
    }
}

fn command(part: &Part) -> Command {
    let mut command = Command::new(&part.supervisor);
    command
        .arg("supervise")
        .arg("--log")
        .arg(&part.log)
        .arg("--grace-ms")
        .arg(part.grace.as_millis().to_string());
    if let Some(alive) = &part.alive {
        command.arg("--alive").arg(alive);
    }
    command
        .arg("--")
        .arg(&part.program)
        .args(&part.args)
        .envs(part.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        // A Ctrl-C at the terminal reaches the starter only, which then stops the parts in order.
        .process_group(0);
    command
}
