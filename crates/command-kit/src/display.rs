//! Shows how a stack comes up: one line for each thing while it happens, on standard error.
//!
//! Invariant: what is not a terminal gets plain lines and no more than one in ten percent of a
//! download.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use local_stack::{Event, Progress};
use strangers::{printable, screened};

use crate::say;

/// Without a known size, a plain line comes this often.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// Characters of a log line that are shown.
const LONGEST_LINE: usize = 200;

#[derive(Default)]
struct Downloads {
    bars: HashMap<&'static str, ProgressBar>,
    told: HashMap<&'static str, (u64, Instant)>,
}

/// Receives the events of a stack.
pub fn progress() -> Progress {
    let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let downloads = Mutex::new(Downloads::default());
    Arc::new(move |event| {
        let mut downloads = downloads.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Fetching { what, done, total } if screen.is_hidden() => {
                plain(&mut downloads, what, done, total);
            }
            Event::Fetching { what, done, total } => {
                let bar = downloads
                    .bars
                    .entry(what)
                    .or_insert_with(|| screen.add(new_bar(what, total)));
                bar.set_position(done);
            }
            Event::Fetched { what } => {
                downloads.bars.retain(|name, bar| {
                    let done = name.starts_with(what);
                    if done {
                        bar.finish_and_clear();
                    }
                    !done
                });
                print(&screen, &format!("fetched {what}"));
            }
            event => print(&screen, &screened(&sentence(&event))),
        }
    })
}

fn print(screen: &MultiProgress, line: &str) {
    if screen.is_hidden() || screen.println(line).is_err() {
        say::note(line);
    }
}

fn new_bar(what: &'static str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "fetching {msg} {wide_bar} {bytes}/{total_bytes} {percent}%",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} fetching {msg} ({elapsed})",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn plain(downloads: &mut Downloads, what: &'static str, done: u64, total: Option<u64>) {
    let before = downloads.told.get(what).copied();
    let tenth = total.map_or(0, |total| done * 10 / total.max(1));
    let news = match (before, total) {
        (None, _) => true,
        (Some((told, _)), Some(_)) => tenth > told,
        (Some((_, at)), None) => at.elapsed() > PLAIN_LINE_EVERY,
    };
    if !news {
        return;
    }
    downloads.told.insert(what, (tenth, Instant::now()));
    let mut line = format!("fetching {what}");
    if let Some(total) = total {
        let percent = done * 100 / total.max(1);
        let _ = write!(line, ": {percent}% of {}", HumanBytes(total));
    }
    say::note(line);
}

fn sentence(event: &Event) -> String {
    match event {
        Event::Waiting { on } => format!("waiting for {on}"),
        Event::Fetching { what, .. } => format!("fetching {what}"),
        Event::Fetched { what } => format!("fetched {what}"),
        Event::Starting { part } => format!("starting {part}"),
        Event::Ready { part, after } => {
            format!("{part} is ready after {:.1} s", after.as_secs_f64())
        }
        Event::Died {
            part,
            ending,
            log,
            last_lines,
            retry_in,
        } => {
            let mut text = format!(
                "{part} {ending}, starting it again in {:.1} s; the end of {}:",
                retry_in.as_secs_f64(),
                log.display()
            );
            for line in last_lines {
                let _ = write!(text, "\n    {}", printable(line, LONGEST_LINE));
            }
            text
        }
        Event::RestartFailed { part, reason } => {
            format!("{part} could not be started again: {reason}")
        }
    }
}
