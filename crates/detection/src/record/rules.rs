//! What somebody wants to be told of, whatever is usual: lines that match, and more of them than so many.

use primitives::splitmix::hash;
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Rules at the most: each keeps something of each service that it matches.
pub const MOST_RULES: usize = 64;
/// Bytes of a name, and of an expression.
const NAME_BYTES: usize = 128;
const EXPRESSION_BYTES: usize = 4096;
/// Bytes that a compiled expression may take, and all of them together.
const COMPILED_BYTES: usize = 1 << 20;
const ALL_COMPILED_BYTES: usize = 16 << 20;
/// Of spans, ms: up to a day.
pub(crate) const SPAN_MS: std::ops::RangeInclusive<i64> = 1000..=86_400_000;

/// How bad it is when a rule is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weight {
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

/// One rule: more than `above` lines of a service within `within_ms` whose message matches `message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Names it in anomalies; no other has the same.
    pub name: String,
    /// A regular expression of the `regex` crate, matched in time linear in the message.
    pub message: String,
    /// Services that it is about, likewise; `None`: all.
    pub service: Option<String>,
    /// Lines that are let pass, from 0 up.
    pub above: u32,
    /// From 1 s to a day, counted in ten steps.
    pub within_ms: i64,
    pub weight: Weight,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadRule {
    Name,
    NameTwice,
    Within,
    TooMany,
    TooMuch,
    TooLong { what: &'static str },
    Expression { what: &'static str, why: String },
}

impl std::fmt::Display for BadRule {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name => write!(to, "a rule needs a name of 1 to {NAME_BYTES} bytes"),
            Self::NameTwice => to.write_str("another rule has this name already"),
            Self::Within => to.write_str("`within` is a duration from 1s to 1d"),
            Self::TooMany => write!(to, "there may be {MOST_RULES} rules at the most"),
            Self::TooMuch => to.write_str("all rules together take too much memory"),
            Self::TooLong { what } => {
                write!(to, "`{what}` has more than {EXPRESSION_BYTES} bytes")
            }
            Self::Expression { what, why } => {
                write!(to, "`{what}` is no regular expression: {why}")
            }
        }
    }
}

impl std::error::Error for BadRule {}

/// Rules, ready to be asked: one pass over a message for all of them.
#[derive(Debug, Clone)]
pub struct Rules {
    messages: RegexSet,
    ready: Vec<Ready>,
    /// Of all that they say: another one has other rules.
    generation: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) rule: Rule,
    /// Of all that it says: one that is changed is another one.
    pub(crate) id: u64,
    service: Option<Regex>,
}

impl Default for Rules {
    /// None.
    fn default() -> Self {
        Self {
            messages: RegexSet::empty(),
            ready: Vec::new(),
            generation: hash(&[]),
        }
    }
}

impl Rules {
    /// Those that can be followed, and what is wrong with each of the others, by its place.
    pub fn of(rules: Vec<Rule>) -> (Self, Vec<(usize, BadRule)>) {
        let mut ready: Vec<Ready> = Vec::new();
        let mut places = Vec::new();
        let mut bad = Vec::new();
        for (place, rule) in rules.into_iter().enumerate() {
            match Ready::of(rule, &ready) {
                Ok(rule) => {
                    ready.push(rule);
                    places.push(place);
                }
                Err(why) => bad.push((place, why)),
            }
        }
        let set = |ready: &[Ready]| {
            RegexSetBuilder::new(ready.iter().map(|it| it.rule.message.as_str()))
                .size_limit(ALL_COMPILED_BYTES)
                .build()
        };
        // Each is small enough by itself: together they nearly always are.
        let messages = loop {
            if let Ok(messages) = set(&ready) {
                break messages;
            }
            ready.pop();
            let Some(place) = places.pop() else {
                break RegexSet::empty();
            };
            bad.push((place, BadRule::TooMuch));
        };
        let ids: Vec<u8> = ready.iter().flat_map(|it| it.id.to_le_bytes()).collect();
        let rules = Self {
            messages,
            ready,
            generation: hash(&ids),
        };
        (rules, bad)
    }

    pub fn len(&self) -> usize {
        self.ready.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn has(&self, id: u64) -> bool {
        self.ready.iter().any(|it| it.id == id)
    }

    /// Rules that a line matches.
    pub(crate) fn matching<'a>(
        &'a self,
        service: &'a str,
        message: &str,
    ) -> impl Iterator<Item = &'a Ready> {
        let places = self.messages.matches(message).into_iter();
        let rules = places.filter_map(|place| self.ready.get(place));
        rules.filter(move |it| it.service.as_ref().is_none_or(|of| of.is_match(service)))
    }
}

impl Ready {
    fn of(rule: Rule, others: &[Self]) -> Result<Self, BadRule> {
        if rule.name.trim().is_empty() || rule.name.len() > NAME_BYTES {
            return Err(BadRule::Name);
        }
        if others.iter().any(|other| other.rule.name == rule.name) {
            return Err(BadRule::NameTwice);
        }
        if !SPAN_MS.contains(&rule.within_ms) {
            return Err(BadRule::Within);
        }
        if others.len() == MOST_RULES {
            return Err(BadRule::TooMany);
        }
        compiled("message", &rule.message)?;
        let service = rule.service.as_deref();
        let service = service.map(|it| compiled("service", it)).transpose()?;
        let Rule {
            name,
            message,
            above,
            within_ms,
            weight,
            ..
        } = &rule;
        let of = rule.service.as_deref().unwrap_or_default();
        let says = format!("{name}\0{message}\0{of}\0{above}\0{within_ms}\0{weight:?}");
        Ok(Self {
            id: hash(says.as_bytes()),
            service,
            rule,
        })
    }
}

fn compiled(what: &'static str, expression: &str) -> Result<Regex, BadRule> {
    if expression.len() > EXPRESSION_BYTES {
        return Err(BadRule::TooLong { what });
    }
    let built = RegexBuilder::new(expression)
        .size_limit(COMPILED_BYTES)
        .build();
    built.map_err(|error| {
        // What the parser says is a drawing of several lines; the last one says what is wrong.
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default();
        BadRule::Expression {
            what,
            why: why.trim_start_matches("error: ").to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(name: &str, message: &str) -> Rule {
        Rule {
            name: name.to_owned(),
            message: message.to_owned(),
            service: None,
            above: 3,
            within_ms: 60_000,
            weight: Weight::High,
        }
    }

    fn names(rules: &Rules, service: &str, message: &str) -> Vec<String> {
        let matching = rules.matching(service, message);
        matching.map(|it| it.rule.name.clone()).collect()
    }

    #[test]
    fn one_that_is_wrong_is_refused_with_the_reason_and_the_others_go_on() {
        let of_web = Rule {
            service: Some("^web".to_owned()),
            ..rule("web", "disk")
        };
        let (rules, bad) = Rules::of(vec![
            rule("full", "disk (is )?full"),
            rule("open", "a(b"),
            rule("full", "x"),
            rule(" ", "x"),
            Rule {
                within_ms: 1,
                ..rule("short", "x")
            },
            of_web,
        ]);
        let reasons: Vec<_> = bad.iter().map(|(at, why)| (*at, why.to_string())).collect();
        assert_eq!(
            reasons,
            [
                (
                    1,
                    "`message` is no regular expression: unclosed group".to_owned()
                ),
                (2, "another rule has this name already".to_owned()),
                (3, "a rule needs a name of 1 to 128 bytes".to_owned()),
                (4, "`within` is a duration from 1s to 1d".to_owned()),
            ]
        );
        assert_eq!(rules.len(), 2);
        assert_eq!(names(&rules, "web-1", "disk is full"), ["full", "web"]);
        assert_eq!(names(&rules, "db", "disk full"), ["full"]);
        assert!(names(&rules, "web", "all is well").is_empty());
    }

    #[test]
    fn what_would_take_too_much_is_refused_and_there_is_a_bound() {
        let (_, bad) = Rules::of(vec![rule("huge", r"(\w{500}){500}")]);
        assert!(
            matches!(bad[..], [(0, BadRule::Expression { .. })]),
            "{bad:?}"
        );
        let many = (0..=MOST_RULES).map(|at| rule(&at.to_string(), "x"));
        let (rules, bad) = Rules::of(many.collect());
        assert_eq!(rules.len(), MOST_RULES);
        assert!(matches!(bad[..], [(MOST_RULES, BadRule::TooMany)]));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_followed_or_refused(
            rules in prop::collection::vec((".{0,40}", ".{0,40}", prop::option::of(".{0,20}"), any::<i64>()), 0..10),
            message in ".{0,80}",
        ) {
            let all = rules.len();
            let rules = rules.into_iter().map(|(name, message, service, within_ms)| Rule {
                service,
                within_ms,
                ..rule(&name, &message)
            });
            let (rules, bad) = Rules::of(rules.collect());
            prop_assert_eq!(rules.len() + bad.len(), all);
            prop_assert!(names(&rules, "web", &message).len() <= rules.len());
        }
    }
}
