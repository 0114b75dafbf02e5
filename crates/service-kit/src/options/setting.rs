//! The raw text of one option, and how it becomes a value.
//! Invariant: deserializing never fails, so that one bad option cannot hide the next;
//! the text of a secret never reaches a problem.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::Problems;

/// A type that can be read from the text of an environment variable.
pub trait FromText: Sized {
    /// The value must not be shown, neither in problems nor in documentation.
    const SECRET: bool = false;

    /// What a right value looks like, to follow the word "expected": `a whole number from 1 to 10`.
    fn expected() -> String;

    /// `None`: not what was expected.
    fn from_text(text: &str) -> Option<Self>;
}

/// Raw text that has yet to become a `T`, or its absence. An empty text is an absent one.
pub struct Setting<T> {
    text: Option<String>,
    target: PhantomData<fn() -> T>,
}

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self {
            text: None,
            target: PhantomData,
        }
    }
}

impl<T: FromText> Setting<T> {
    /// Absence is a problem. `None` when there was one.
    pub fn required(self, name: &str, problems: &mut Problems) -> Option<T> {
        let Some(text) = self.text else {
            problems.push(format!("{name}: not set, expected {}", T::expected()));
            return None;
        };
        read(&text, name, problems)
    }

    /// The default stands in for an absent value, and for a wrong one that has been reported.
    pub fn or(self, name: &str, default: T, problems: &mut Problems) -> T {
        self.optional(name, problems).unwrap_or(default)
    }

    /// `None` when absent, and when wrong; the latter is reported.
    pub fn optional(self, name: &str, problems: &mut Problems) -> Option<T> {
        self.text.and_then(|text| read(&text, name, problems))
    }
}

impl<T> Setting<T> {
    fn or_text(self, default: Option<&str>) -> Self {
        let text = self.text.or_else(|| default.map(str::to_owned));
        Self {
            text,
            target: PhantomData,
        }
    }
}

fn read<T: FromText>(text: &str, name: &str, problems: &mut Problems) -> Option<T> {
    let value = T::from_text(text);
    if value.is_none() {
        let expected = T::expected();
        // What stands before an @ in an address may be a user with a password.
        problems.push(if T::SECRET || text.contains('@') {
            format!("{name}: expected {expected}, got something else (not shown)")
        } else {
            format!("{name}: expected {expected}, got {text:?}")
        });
    }
    value
}

impl<'de, T> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = String;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("text")
            }

            fn visit_str<E>(self, text: &str) -> Result<String, E> {
                Ok(text.to_owned())
            }

            fn visit_string<E>(self, text: String) -> Result<String, E> {
                Ok(text)
            }
        }

        let text = deserializer.deserialize_string(Text)?;
        Ok(Self {
            text: Some(text).filter(|text| !text.is_empty()),
            target: PhantomData,
        })
    }
}

/// The type of a field of an options struct: a `T` that must be there, or an `Option<T>`.
pub trait FieldValue: Sized {
    type Value: FromText;
    const REQUIRED: bool;

    /// `None` when a problem was found.
    fn from_setting(
        setting: Setting<Self::Value>,
        name: &str,
        default: Option<&str>,
        problems: &mut Problems,
    ) -> Option<Self>;
}

impl<T: FromText> FieldValue for T {
    type Value = T;
    const REQUIRED: bool = true;

    fn from_setting(
        setting: Setting<T>,
        name: &str,
        default: Option<&str>,
        problems: &mut Problems,
    ) -> Option<T> {
        match default {
            // An empty default is a value of its own (no password), though an empty variable is not.
            Some("") => match setting.text {
                Some(text) => read(&text, name, problems),
                None => read("", name, problems),
            },
            default => setting.or_text(default).required(name, problems),
        }
    }
}

impl<T: FromText> FieldValue for Option<T> {
    type Value = T;
    const REQUIRED: bool = false;

    fn from_setting(
        setting: Setting<T>,
        name: &str,
        default: Option<&str>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let setting = setting.or_text(default);
        if setting.text.is_none() {
            return Some(None);
        }
        setting.required(name, problems).map(Some)
    }
}
