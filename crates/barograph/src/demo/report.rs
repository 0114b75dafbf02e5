//! What a demo shows: how it goes, and how it went.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::AnsiColors;

use super::{
    account::{Account, Counts, Found},
    plan::{Plan, spoken},
};
use crate::text::printable;
use command_kit::say;

/// Characters of a title or a name.
const LONGEST: usize = 1000;

/// One line that is kept up to date on a terminal, and a plain line now and then elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
    plain: std::cell::Cell<u32>,
}

impl Progress {
    pub(super) fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self {
            bar,
            plain: std::cell::Cell::new(0),
        }
    }

    pub(super) fn show(&self, counts: &Counts, received: usize) {
        let line = format!(
            "{} lines produced, {} stored, {} behind, {received} anomaly frames received",
            grouped(counts.produced),
            grouped(counts.stored),
            grouped(counts.lag())
        );
        if !self.bar.is_hidden() {
            self.bar.set_message(line);
            return;
        }
        self.plain.set(self.plain.get() + 1);
        if self.plain.get().is_multiple_of(10) {
            say::note(line);
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

pub(super) fn summary(account: &Account, plan: &Plan) -> String {
    let mut lines = vec![
        String::new(),
        format!(
            "Barograph demo: {} of history, {} live at {} lines/s",
            spoken(plan.history),
            spoken(plan.live),
            plan.rate
        ),
    ];
    let exact = if account.is_exact() {
        good("exact")
    } else {
        bad("NOT EXACT")
    };
    lines.push(String::new());
    lines.push(format!(
        "  produced        {:>12}",
        grouped(account.produced)
    ));
    lines.push(format!("  stored          {:>12}", grouped(account.stored)));
    lines.push(format!(
        "  dead-lettered   {:>12}   stored + dead-lettered = produced: {exact}",
        grouped(account.dead_lettered)
    ));
    let audit = &account.audit;
    let there = if audit.is_content() {
        good("all rows are there")
    } else {
        bad("ROWS DIFFER")
    };
    lines.push(format!(
        "  audit           {:>12}   looks at rows against offsets: {there}",
        grouped(audit.looks)
    ));
    let all = if account.anomalies_published == account.anomalies_received {
        good("all received")
    } else {
        bad("NOT ALL RECEIVED")
    };
    lines.push(format!(
        "  anomaly frames  {:>12}   published; {} received over WebSocket: {all}",
        grouped(account.anomalies_published),
        grouped(account.anomalies_received)
    ));
    let kinds: Vec<_> = account
        .anomalies_by_kind
        .iter()
        .map(|(kind, count)| format!("{count} {}", printable(kind, LONGEST)))
        .collect();
    if !kinds.is_empty() {
        lines.push(format!("  episodes        {}", kinds.join(", ")));
    }
    if !account.injected.is_empty() {
        lines.push(String::new());
        lines.push("  injected        service          found after".to_owned());
        lines.extend(account.injected.iter().map(found));
    }
    lines.push(String::new());
    if account.unexpected.is_empty() {
        lines.push(format!("  false alerts    {}", good("none")));
    }
    for title in &account.unexpected {
        lines.push(format!("  unexpected      {}", printable(title, LONGEST)));
    }
    if let (Some(p50), Some(p99)) = (account.latency_ms.p50, account.latency_ms.p99) {
        lines.push(format!(
            "  produce → WebSocket latency: p50 {p50} ms, p99 {p99} ms ({} frames)",
            account.latency_ms.frames
        ));
    }
    lines.join("\n")
}

fn found(one: &Found) -> String {
    let after = match one.delay_ms {
        Some(delay) => good(&format!("{:.2} s", delay as f64 / 1000.0)),
        None => bad("NOT FOUND"),
    };
    format!("  {:<15} {:<16} {after}", one.kind.as_str(), one.service)
}

fn good(text: &str) -> String {
    say::painted(text, AnsiColors::Green, &std::io::stdout())
}

fn bad(text: &str) -> String {
    say::painted(text, AnsiColors::Red, &std::io::stdout())
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(super::grouped(number), text);
        }
    }
}
