//! The file of rules: read at the start, and again when it has changed.
//!
//! Invariants: a rule that cannot be followed is refused with its line and the reason, and the others are
//! followed; a file that cannot be read as a whole changes nothing that is followed already.

use std::{
    collections::BTreeMap,
    fmt,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use detection::{Rule, Rules, Weight};
use serde::Deserialize;
use serde_saphyr::Spanned;
use service_kit::{
    lifecycle::Tasks,
    options::{FromText as _, Period},
};
use tokio::sync::watch;

use crate::{
    metrics::{Metrics, RuleState},
    run::RunError,
};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A larger file is refused.
const MOST_BYTES: u64 = 1 << 20;
/// From a second to a day.
type Within = Period<1000, 86_400_000>;
const KEYS: [&str; 6] = ["name", "message", "service", "above", "within", "severity"];

/// Rules as they are now.
#[derive(Debug, Clone)]
pub struct InForce(watch::Receiver<Arc<Rules>>);

impl InForce {
    pub fn now(&mut self) -> Arc<Rules> {
        Arc::clone(&self.0.borrow_and_update())
    }

    pub fn has_changed(&self) -> bool {
        // Whoever reads the file may have ended before the partitions have.
        self.0.has_changed().unwrap_or(false)
    }
}

/// Why a file is not followed at all.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableFile {
    #[error("cannot read the rules in {path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("the rules in {path} take more than 1 MiB")]
    TooLarge { path: String },
    #[error("cannot read the rules in {path} as YAML, `rules:` with a list: {error}")]
    Yaml { path: String, error: String },
}

/// A rule that is not followed.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub line: u64,
    pub name: String,
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "line {}, rule {:?}: {}", self.line, self.name, self.why)
    }
}

/// A rule by its keys; `None`: the key has no value.
type Written = BTreeMap<String, Option<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Values as they are written: what is meant is asked key by key.
    rules: Vec<Spanned<Written>>,
}

/// What a file says.
struct Read {
    rules: Rules,
    refused: Vec<Refused>,
}

fn read(path: &Path) -> Result<String, UnreadableFile> {
    let shown = || path.display().to_string();
    let error = |error| UnreadableFile::File {
        path: shown(),
        error,
    };
    if std::fs::metadata(path).map_err(error)?.len() > MOST_BYTES {
        return Err(UnreadableFile::TooLarge { path: shown() });
    }
    std::fs::read_to_string(path).map_err(error)
}

fn understand(path: &Path, text: &str) -> Result<Read, UnreadableFile> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| UnreadableFile::Yaml {
        path: path.display().to_string(),
        error: error.to_string(),
    })?;
    let mut rules = Vec::new();
    let mut lines = Vec::new();
    let mut refused = Vec::new();
    for written in file.rules {
        let line = written.referenced.line();
        let name = written.value.get("name").cloned().flatten();
        match rule(&written.value) {
            Ok(rule) => {
                lines.push((line, rule.name.clone()));
                rules.push(rule);
            }
            Err(why) => refused.push(Refused {
                line,
                name: name.unwrap_or_default(),
                why,
            }),
        }
    }
    let (rules, bad) = Rules::of(rules);
    refused.extend(bad.into_iter().filter_map(|(place, why)| {
        let (line, name) = lines.get(place)?.clone();
        let why = why.to_string();
        Some(Refused { line, name, why })
    }));
    refused.sort_by_key(|refused| refused.line);
    Ok(Read { rules, refused })
}

/// The error says what is wrong, and what would be right.
fn rule(written: &Written) -> Result<Rule, String> {
    if let Some(unknown) = written.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!(
            "{unknown:?} is no key of a rule; these are: {}",
            KEYS.join(", ")
        ));
    }
    if let Some((key, _)) = written.iter().find(|(_, value)| value.is_none()) {
        return Err(format!("`{key}` has no value"));
    }
    let text = |key: &str| written.get(key)?.as_deref();
    let needed = |key: &str| text(key).ok_or_else(|| format!("`{key}` is missing"));
    let above = text("above").unwrap_or("0");
    let within = text("within").unwrap_or("1m");
    let within = Within::from_text(within)
        .ok_or_else(|| format!("`within` is {within:?}; it is {}", Within::expected()))?;
    Ok(Rule {
        name: needed("name")?.to_owned(),
        message: needed("message")?.to_owned(),
        service: text("service").map(str::to_owned),
        above: above
            .parse()
            .map_err(|_| format!("`above` is {above:?}; it is a number of lines, from 0 up"))?,
        within_ms: within.get().as_millis() as i64,
        weight: match text("severity").unwrap_or("medium") {
            "low" => Weight::Low,
            "medium" => Weight::Medium,
            "high" => Weight::High,
            "critical" => Weight::Critical,
            other => {
                return Err(format!(
                    "`severity` is {other:?}; it is low, medium, high or critical"
                ));
            }
        },
    })
}

/// Follows a file from now on: whoever asks gets what it says now.
pub struct Follower {
    path: PathBuf,
    text: String,
    rules: watch::Sender<Arc<Rules>>,
    metrics: Metrics,
}

impl Follower {
    /// Reads the file. The error: it cannot be read at all.
    pub fn of(path: &Path, metrics: Metrics) -> Result<(Self, InForce), UnreadableFile> {
        let text = read(path)?;
        let read = understand(path, &text)?;
        let (rules, in_force) = watch::channel(Arc::default());
        let follower = Self {
            path: path.to_owned(),
            text,
            rules,
            metrics,
        };
        follower.follow(read);
        Ok((follower, InForce(in_force)))
    }

    fn follow(&self, read: Read) {
        let path = self.path.display();
        for refused in &read.refused {
            tracing::error!(%path, "rule refused: {refused}");
        }
        tracing::info!(%path, rules = read.rules.len(), refused = read.refused.len(), "rules are followed");
        let set = |state, count: usize| self.metrics.rules.at(state).set(count as f64);
        set(RuleState::Followed, read.rules.len());
        set(RuleState::Refused, read.refused.len());
        self.rules.send_replace(Arc::new(read.rules));
    }

    /// Until the service stops.
    pub async fn run(mut self, tasks: Tasks) -> Result<(), RunError> {
        let mut said = String::new();
        loop {
            tokio::select! {
                () = tasks.stopping() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let path = self.path.clone();
            let looked = tokio::task::spawn_blocking(move || read(&path)).await;
            let text = looked.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()));
            let unreadable = match text.and_then(|text| self.look_at(text)) {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            };
            if unreadable != said {
                if !unreadable.is_empty() {
                    tracing::error!("{unreadable}; the rules of before are followed");
                }
                said = unreadable;
            }
            let is_unreadable = f64::from(u8::from(!said.is_empty()));
            self.metrics.rules_unreadable.set(is_unreadable);
        }
    }

    fn look_at(&mut self, text: String) -> Result<(), UnreadableFile> {
        if text != self.text {
            self.follow(understand(&self.path, &text)?);
            self.text = text;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn understood(text: &str) -> Result<(usize, Vec<String>), UnreadableFile> {
        let read = understand(Path::new("rules.yaml"), text)?;
        let refused = read.refused.iter().map(ToString::to_string);
        Ok((read.rules.len(), refused.collect()))
    }

    #[test]
    fn a_bad_rule_is_refused_with_its_line_and_the_others_are_followed() {
        let text = "
rules:
  - name: disk full
    message: 'disk .* full'
    above: 3
    within: 5m
    severity: high
  - name: odd
    message: 'a(b'
  - name: late
    message: x
    within: soon
  - message: nameless
  - name: typo
    mesage: x
  - name: any number
    message: 404
  - name: as it is written
    message: off
  - name: empty
    message: x
    service:
";
        let (followed, refused) = understood(text).unwrap();
        assert_eq!(followed, 3);
        assert_eq!(
            refused,
            [
                "line 8, rule \"odd\": `message` is no regular expression: unclosed group",
                "line 10, rule \"late\": `within` is \"soon\"; it is a duration from 1s to 1d with its unit (500ms, 10s, 5m, 2h, 7d)",
                "line 13, rule \"\": `name` is missing",
                "line 14, rule \"typo\": \"mesage\" is no key of a rule; these are: name, message, service, above, within, severity",
                "line 20, rule \"empty\": `service` has no value",
            ]
        );
    }

    #[test]
    fn what_is_no_list_of_rules_is_an_error_that_says_so() {
        for text in ["rules: 7", "", "- name: x", "rules:\n  - [a]", "rule: []"] {
            let error = understood(text).unwrap_err().to_string();
            assert!(error.contains("rules.yaml as YAML"), "{text:?}: {error}");
        }
        assert_eq!(understood("rules: []").unwrap(), (0, Vec::new()));
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_file_it_is_read_or_refused(
            text in prop_oneof![
                ".{0,200}",
                "rules:\n(  - (name|message|above|within|service|severity): [ -~]{0,20}\n(    (name|message|above|within|service|severity): [ -~]{0,20}\n){0,4}){0,6}",
            ],
        ) {
            let _ = understood(&text);
        }
    }
}
