//! Whether a line tells of somebody who wants to log in, and how it went.
//!
//! By documented rules (`docs/detectors.md`), since every program says it in words of its own. Who it was and
//! from where is what the record's fields say, and what the message says where they are blank.

mod gate;

use std::{net::IpAddr, sync::LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};

/// A line without any of these has nothing to do with it.
const SPEAKS_OF_IT: [&str; 13] = [
    "login",
    "logged in",
    "logon",
    "signed in",
    "sign in",
    "sign-in",
    "signin",
    "password",
    "passwd",
    "authentic",
    "credential",
    "publickey",
    "session opened",
];
const FAILED: [&str; 17] = [
    "fail",
    "invalid",
    "incorrect",
    "wrong",
    "denied",
    "refused",
    "reject",
    "unauthor",
    "unauthenticated",
    "unsucce",
    "bad ",
    "mismatch",
    "not allowed",
    "no such user",
    "unknown user",
    "illegal user",
    "not recognized",
];
const SUCCEEDED: [&str; 7] = [
    "logged in",
    "signed in",
    "succe",
    "accepted",
    "authenticated",
    "session opened",
    "granted",
];
static WORDS: LazyLock<Option<Words>> = LazyLock::new(Words::new);
/// Behind these comes a user, unless it is one of them again.
const BEFORE_USER: [&str; 4] = ["for", "user", "username", "account"];
const USER_KEYS: [&str; 5] = ["user", "username", "login", "account", "usr"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    Failed,
    Succeeded,
}

impl Login {
    /// `None`: it tells of no such thing, or not how it went. That a password could not be checked is no
    /// failed login.
    #[inline]
    pub(crate) fn of(message: &str, status: u16) -> Option<Self> {
        if status >= 500 || !gate::is_open(message.as_bytes()) {
            return None;
        }
        Self::read(message, status)
    }

    #[cold]
    fn read(message: &str, status: u16) -> Option<Self> {
        let heard = WORDS.as_ref()?.hear(message);
        if !heard.speaks_of_it {
            None
        } else if heard.failed || status == 401 {
            Some(Self::Failed)
        } else {
            (heard.succeeded || (200..400).contains(&status)).then_some(Self::Succeeded)
        }
    }
}

/// All words, searched for together, whatever the case.
///
/// Of those that begin at one place the longest is heard: who is unauthenticated is not authenticated.
struct Words {
    search: AhoCorasick,
    /// By the number of the word.
    meanings: Vec<Heard>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    speaks_of_it: bool,
    failed: bool,
    succeeded: bool,
}

impl Words {
    /// `None`: too large a table, which these are not (test).
    fn new() -> Option<Self> {
        let (mut words, mut meanings) = (Vec::<&str>::new(), Vec::new());
        for (list, failed, succeeded) in [
            (&FAILED[..], true, false),
            (&SUCCEEDED[..], false, true),
            (&SPEAKS_OF_IT[..], false, false),
        ] {
            words.extend(list);
            meanings.extend(list.iter().map(|word| Heard {
                speaks_of_it: SPEAKS_OF_IT.iter().any(|other| word.contains(*other)),
                failed,
                succeeded,
            }));
        }
        // Messages are short: a table, and no looking for rare letters before it.
        let search = AhoCorasickBuilder::new()
            .kind(Some(AhoCorasickKind::DFA))
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .prefilter(false)
            .build(words)
            .ok()?;
        Some(Self { search, meanings })
    }

    fn hear(&self, message: &str) -> Heard {
        let mut heard = Heard::default();
        for word in self.search.find_iter(message) {
            let meaning = self.meanings[word.pattern().as_usize()];
            heard.speaks_of_it |= meaning.speaks_of_it;
            heard.failed |= meaning.failed;
            heard.succeeded |= meaning.succeeded;
        }
        heard
    }
}

/// Who wants to log in, and from where. Empty: nobody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Who<'a> {
    pub(crate) user: &'a str,
    pub(crate) address: &'a str,
}

impl<'a> Who<'a> {
    /// What a record's fields say, and what its message says where they are blank.
    pub(crate) fn of(fields: Self, message: &'a str) -> Self {
        if !fields.user.is_empty() && !fields.address.is_empty() {
            return fields;
        }
        let said = Self::said_by(message);
        let better = |field: &'a str, said: &'a str| if field.is_empty() { said } else { field };
        Self {
            user: better(fields.user, said.user),
            address: better(fields.address, said.address),
        }
    }

    fn said_by(message: &'a str) -> Self {
        let mut said = Self::default();
        let mut before = "";
        for word in message.split(stands_between_words) {
            let word = word.trim_matches([':', '.']);
            if word.is_empty() {
                continue;
            }
            let (key, value) = word.split_once('=').unwrap_or((before, word));
            let address = address(value);
            let names_user = || {
                if word.len() > value.len() {
                    is_one_of(&USER_KEYS, key)
                } else {
                    is_one_of(&BEFORE_USER, key)
                        && !is_one_of(&BEFORE_USER, word)
                        && !tells_how(word)
                }
            };
            if said.user.is_empty() && address.is_none() && names_user() {
                said.user = value;
            }
            if said.address.is_empty() {
                said.address = address.unwrap_or_default();
            }
            before = word;
        }
        said
    }
}

const fn stands_between_words(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(
            letter,
            '"' | '\'' | '`' | ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>'
        )
}

/// A word of how it went.
fn tells_how(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let mut words = FAILED.iter().chain(&SUCCEEDED);
    words.any(|other| word.starts_with(other.trim_end()))
        || matches!(
            word.as_str(),
            "from" | "by" | "as" | "with" | "is" | "was" | "has" | "logged" | "signed"
        )
}

fn is_one_of(words: &[&str], word: &str) -> bool {
    words.iter().any(|other| other.eq_ignore_ascii_case(word))
}

/// The address that a word is, perhaps with a port.
fn address(word: &str) -> Option<&str> {
    // Most words are none, and to try costs more than to look.
    let first = *word.as_bytes().first()?;
    if !(first == b':' || first.is_ascii_hexdigit()) || !word.contains(['.', ':']) {
        return None;
    }
    if word.parse::<IpAddr>().is_ok() {
        return Some(word);
    }
    let (host, port) = word.rsplit_once(':')?;
    (port.parse::<u16>().is_ok() && host.parse::<IpAddr>().is_ok()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(message: &str) -> Who<'_> {
        Who::of(Who::default(), message)
    }

    #[test]
    fn the_words_can_be_searched_for() {
        assert!(WORDS.is_some());
    }

    #[test]
    fn what_programs_say_of_failed_logins() {
        for (message, user, address) in [
            (
                "Failed password for invalid user admin from 203.0.113.7 port 50422 ssh2",
                "admin",
                "203.0.113.7",
            ),
            (
                "Failed password for root from 2001:db8::7 port 22 ssh2",
                "root",
                "2001:db8::7",
            ),
            (
                "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.4  user=bob",
                "bob",
                "198.51.100.4",
            ),
            (
                "login failed for user u-17 from 203.0.113.9: invalid password",
                "u-17",
                "203.0.113.9",
            ),
            (
                "FATAL:  password authentication failed for user \"app\"",
                "app",
                "",
            ),
            (
                "LOGIN FAILED for user 'sa'. [CLIENT: 192.0.2.1]",
                "sa",
                "192.0.2.1",
            ),
            (
                "Access denied for user 'x'@'h' (using password: YES)",
                "x",
                "",
            ),
            (
                "authentication failed: user=eve addr=192.0.2.8:4711",
                "eve",
                "192.0.2.8",
            ),
            ("Invalid credentials", "", ""),
        ] {
            let expected = Login::Failed;
            assert_eq!(Login::of(message, 0), Some(expected), "{message}");
            assert_eq!(who(message), Who { user, address }, "{message}");
        }
    }

    #[test]
    fn what_programs_say_of_logins() {
        for (message, user, address) in [
            (
                "Accepted password for alice from 198.51.100.1 port 2 ssh2",
                "alice",
                "198.51.100.1",
            ),
            (
                "user bob logged in from 198.51.100.2 with passkey",
                "bob",
                "198.51.100.2",
            ),
            ("Successful login, user=carol", "carol", ""),
        ] {
            let expected = Login::Succeeded;
            assert_eq!(Login::of(message, 0), Some(expected), "{message}");
            assert_eq!(who(message), Who { user, address }, "{message}");
        }
    }

    #[test]
    fn the_status_tells_too_and_what_could_not_be_checked_is_none() {
        for (message, status, expected) in [
            ("POST /login 401 12ms", 401, Some(Login::Failed)),
            ("POST /login 200 12ms", 200, Some(Login::Succeeded)),
            ("login failed: directory is down", 503, None),
            ("token 7af expired", 401, None),
            ("order 7 failed", 0, None),
            ("password hashed in 3 ms", 0, None),
        ] {
            assert_eq!(Login::of(message, status), expected, "{message}");
        }
    }

    #[test]
    fn a_word_of_success_in_one_of_failure_is_none() {
        for message in [
            "unauthenticated login of bob",
            "Unsuccessful login of bob",
            "login: succeeded at first, then denied",
        ] {
            assert_eq!(Login::of(message, 0), Some(Login::Failed), "{message}");
        }
    }

    #[test]
    fn fields_are_better_than_words() {
        let fields = Who {
            user: "b",
            ..Who::default()
        };
        let expected = Who {
            user: "b",
            address: "192.0.2.1",
        };
        let message = "login failed for user a from 192.0.2.1";
        assert_eq!(Who::of(fields, message), expected);
    }
}
