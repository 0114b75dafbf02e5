//! The life of a service, in this process and, where signals and exits matter, in one of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::run::{Service, run_to_exit};
use super::{Exit, HasExit, Readiness, Tasks};
use crate::metrics::Registry;
use crate::options::ServiceOptions;
use crate::telemetry::Telemetry;

#[derive(Debug, thiserror::Error)]
#[error("kafka stayed away")]
struct Away;

impl HasExit for Away {
    fn exit(&self) -> Exit {
        Exit::Unavailable
    }
}

fn options(budget: &str) -> ServiceOptions {
    let pairs = [("ADMIN_LISTEN", "127.0.0.1:0"), ("SHUTDOWN_BUDGET", budget)];
    ServiceOptions::from_pairs(pairs.map(|(name, text)| (name.to_owned(), text.to_owned())))
        .unwrap()
}

/// Long enough that a test which drains never meets it.
const AMPLE: &str = "60s";

fn exit_of<F, Fut>(budget: &str, body: F) -> Exit
where
    F: FnOnce(Tasks) -> Fut,
    Fut: Future<Output = Result<(), Away>>,
{
    run_to_exit(
        &Service::new("test", &options(budget)).worker_threads(2),
        body,
    )
}

#[test]
fn a_body_that_ends_is_clean_and_its_tasks_are_drained_first() {
    let drained = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&drained);
    let exit = exit_of(AMPLE, |tasks| async move {
        let stopped = tasks.clone();
        tasks.spawn("writer", async move {
            stopped.stopping().await;
            seen.store(true, Ordering::SeqCst);
            Ok::<_, Away>(())
        });
        Ok(())
    });
    assert_eq!(exit, Exit::Clean);
    assert!(drained.load(Ordering::SeqCst));
}

#[test]
fn an_error_of_the_body_decides_the_exit() {
    assert_eq!(exit_of(AMPLE, |_| async { Err(Away) }), Exit::Unavailable);
}

#[test]
fn a_panic_of_the_body_is_fatal_wherever_it_happens() {
    #[expect(clippy::unused_async, reason = "the panic comes at the first poll")]
    async fn panics() -> Result<(), Away> {
        panic!("a broken invariant")
    }
    assert_eq!(exit_of(AMPLE, |_| panics()), Exit::Fatal);
    let at_once =
        |_: Tasks| -> std::future::Ready<Result<(), Away>> { panic!("before the future") };
    assert_eq!(exit_of(AMPLE, at_once), Exit::Fatal);
}

#[test]
fn a_task_that_fails_stops_the_service_and_decides_the_exit() {
    let exit = exit_of(AMPLE, |tasks| async move {
        tasks.spawn("panicking", async {
            panic!("a broken invariant") as Result<(), Away>
        });
        tasks.stopping().await;
        Ok(())
    });
    assert_eq!(exit, Exit::Fatal);
    let exit = exit_of(AMPLE, |tasks| async move {
        tasks.spawn("failing", async { Err(Away) });
        tasks.stopping().await;
        Ok(())
    });
    assert_eq!(exit, Exit::Unavailable);
}

#[test]
fn a_thread_is_watched_like_a_task() {
    for (fails, expected) in [(true, Exit::Fatal), (false, Exit::Clean)] {
        let exit = exit_of(AMPLE, |tasks| async move {
            let stopped = tasks.clone();
            tasks
                .spawn_thread("consumer", move || {
                    assert!(!fails, "a broken invariant");
                    while !stopped.is_stopping() {
                        std::thread::yield_now();
                    }
                    Ok::<_, Away>(())
                })
                .unwrap();
            if fails {
                tasks.stopping().await;
            }
            Ok(())
        });
        assert_eq!(exit, expected);
    }
}

#[test]
fn the_first_failure_decides() {
    let exit = exit_of(AMPLE, |tasks| async move {
        tasks.spawn("failing", async { Err(Away) });
        tasks.stopping().await;
        panic!("as a consequence")
    });
    assert_eq!(exit, Exit::Unavailable);
}

#[test]
fn work_that_outlasts_the_budget_is_left_and_named() {
    let exit = exit_of("100ms", |tasks| async move {
        tasks.shutdown();
        std::future::pending().await
    });
    assert_eq!(exit, Exit::DrainBudget);
    let exit = exit_of("100ms", |tasks| async move {
        tasks.spawn("deaf", std::future::pending::<Result<(), Away>>());
        assert!(tasks.running().contains(&"deaf"));
        Ok(())
    });
    assert_eq!(exit, Exit::DrainBudget);
}

#[test]
fn shutdowns_are_counted_when_they_begin_and_when_they_end_in_time() {
    for (budget, endless, completed) in [(AMPLE, false, 1), ("100ms", true, 0)] {
        let registry = Registry::new();
        let service = Service::new("test", &options(budget)).registry(&registry);
        run_to_exit(&service, |tasks| async move {
            tasks.shutdown();
            tasks.shutdown();
            if endless {
                std::future::pending::<()>().await;
            }
            Ok::<_, Away>(())
        });
        let text = registry.encode();
        assert!(
            text.contains("barograph_shutdowns_started_total 1"),
            "{text}"
        );
        let expected = format!("barograph_shutdowns_completed_total {completed}");
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn a_taken_admin_port_is_said_before_the_body_runs() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(AMPLE);
    options.admin_listen = taken.local_addr().unwrap().into();
    let body = |_| -> std::future::Ready<Result<(), Away>> { unreachable!("it must not start") };
    assert_eq!(
        run_to_exit(&Service::new("test", &options), body),
        Exit::Unavailable
    );
}

#[test]
fn metrics_that_contradict_each_other_keep_the_service_from_starting() {
    use crate::metrics::{Counter, Gauge, Unit};
    let registry = Registry::new();
    registry.counter(&Counter::<()>::new("twice_total", Unit::Count, "One."));
    registry.gauge(&Gauge::<()>::new("twice_total", Unit::Count, "Another."));
    let service = Service::new("test", &options(AMPLE)).registry(&registry);
    let body = |_| -> std::future::Ready<Result<(), Away>> { unreachable!("it must not start") };
    assert_eq!(run_to_exit(&service, body), Exit::Fatal);
}

const SCENARIO: &str = "SERVICE_KIT_TEST_SCENARIO";

/// What the tests below start as a process of its own; by itself it does nothing.
#[test]
fn child() {
    let Ok(scenario) = std::env::var(SCENARIO) else {
        return;
    };
    let options = options(if scenario == "blocked" {
        "100ms"
    } else {
        AMPLE
    });
    let _telemetry = Telemetry::start("child", &options);
    let readiness = Readiness::new();
    let latch = readiness.latch("kafka");
    let service = Service::new("child", &options).readiness(&readiness);
    let exit = run_to_exit(&service, |tasks| async move {
        latch.set_ready();
        match scenario.as_str() {
            "polite" => tasks.stopping().await,
            "deaf" => std::future::pending().await,
            // Neither yields nor ends.
            _ => loop {
                std::thread::park();
            },
        }
        Ok::<_, Away>(())
    });
    std::process::exit(exit.code().into());
}

struct Running {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    seen: String,
    admin: SocketAddr,
}

impl Running {
    fn start(scenario: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lifecycle::run_tests::child", "--nocapture"])
            .env(SCENARIO, scenario)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let line = read_until(&mut log, &mut seen, "admin endpoints are up");
        let admin = line
            .split("address=")
            .nth(1)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        read_until(&mut log, &mut seen, "readiness changed");
        Self {
            child,
            log,
            seen,
            admin,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn waits_for(&mut self, text: &str) {
        read_until(&mut self.log, &mut self.seen, text);
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The log ends with the process, so this ends too; the test runner's limit is the deadline.
fn read_until(log: &mut impl BufRead, seen: &mut String, text: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(
            log.read_line(&mut line).unwrap() > 0,
            "no {text:?} in {seen}"
        );
        seen.push_str(&line);
        if line.contains(text) {
            return line;
        }
    }
}

#[test]
fn either_signal_stops_the_service_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let service = Running::start("polite");
        assert!(service.get("/live").starts_with("HTTP/1.1 200"));
        assert!(service.get("/ready").starts_with("HTTP/1.1 200"));
        service.signal(signal);
        assert_eq!(service.code(), Some(0));
    }
}

#[test]
fn a_service_that_drains_is_alive_but_not_ready_and_a_second_signal_ends_it() {
    let mut service = Running::start("deaf");
    service.signal(Signal::TERM);
    service.waits_for("shutdown begins");
    assert!(service.get("/live").starts_with("HTTP/1.1 200"));
    let ready = service.get("/ready");
    assert!(
        ready.starts_with("HTTP/1.1 503") && ready.contains(r#""stopping":true"#),
        "{ready}"
    );
    let metrics = service.get("/metrics");
    assert!(
        metrics.contains("content-type: text/plain; version=0.0.4"),
        "{metrics}"
    );
    assert!(
        metrics.contains("barograph_shutdowns_started_total 1"),
        "{metrics}"
    );
    service.signal(Signal::TERM);
    assert_eq!(service.code(), Some(75));
}

#[test]
fn a_body_that_blocks_its_thread_is_alive_and_still_ends() {
    let service = Running::start("blocked");
    assert!(service.get("/live").starts_with("HTTP/1.1 200"));
    service.signal(Signal::TERM);
    assert_eq!(service.code(), Some(75));
}
