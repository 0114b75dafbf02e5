//! How the text of one option becomes a value.
//! Invariant: one bad option cannot hide the next; the text of a secret never reaches a problem.

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

/// The type of a field of an options struct: a `T` that must be there, or an `Option<T>`.
pub trait FieldValue: Sized {
    type Value: FromText;
    const REQUIRED: bool;

    /// `given` is the variable's text, if it is set and not empty. `None` when a problem was found.
    fn read(
        given: Option<&str>,
        name: &str,
        default: Option<&str>,
        problems: &mut Problems,
    ) -> Option<Self>;
}

impl<T: FromText> FieldValue for T {
    type Value = T;
    const REQUIRED: bool = true;

    fn read(
        given: Option<&str>,
        name: &str,
        default: Option<&str>,
        problems: &mut Problems,
    ) -> Option<T> {
        // An empty default is a value of its own (no password), though an empty variable is not.
        let Some(text) = given.or(default) else {
            problems.push(format!("{name}: not set, expected {}", T::expected()));
            return None;
        };
        read(text, name, problems)
    }
}

impl<T: FromText> FieldValue for Option<T> {
    type Value = T;
    const REQUIRED: bool = false;

    fn read(
        given: Option<&str>,
        name: &str,
        default: Option<&str>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Some(text) = given.or(default).filter(|text| !text.is_empty()) else {
            return Some(None);
        };
        read(text, name, problems).map(Some)
    }
}
