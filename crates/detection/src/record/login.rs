//! Whether a line tells of somebody who wants to log in, and how it went.
//!
//! By documented rules (`docs/detectors.md`), since every program says it in words of its own. Who it was and
//! from where is what the record's fields say, and what the message says where they are blank.

use std::{net::IpAddr, sync::LazyLock};

use aho_corasick::AhoCorasick;

/// A line without any of these has nothing to do with it. Without their first letters, which may be capital.
static SPEAKS_OF_IT: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::new([
        "ogin",
        "ogged in",
        "ogon",
        "igned in",
        "ign in",
        "ign-in",
        "ignin",
        "assword",
        "asswd",
        "uthentic",
        "redential",
        "ublickey",
        "ession opened",
        "OGIN",
        "OGGED IN",
        "OGON",
        "ASSWORD",
        "UTHENTIC",
        "REDENTIAL",
    ])
    .ok()
});
/// In lower case, as the next two.
const FAILED: [&str; 16] = [
    "fail",
    "invalid",
    "incorrect",
    "wrong",
    "denied",
    "refused",
    "reject",
    "unauthor",
    "unauthenticated",
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
/// Behind these comes a user, unless it is one of them again.
const BEFORE_USER: [&str; 4] = ["for", "user", "username", "account"];
const USER_KEYS: [&str; 5] = ["user", "username", "login", "account", "usr"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Login<'a> {
    pub(crate) has_failed: bool,
    /// Empty: nobody says.
    pub(crate) user: &'a str,
    pub(crate) address: &'a str,
}

impl<'a> Login<'a> {
    /// `None`: it tells of no such thing, or not how it went. That a password could not be checked is no
    /// failed login.
    #[inline]
    pub(crate) fn of(message: &'a str, status: u16) -> Option<Self> {
        let speaks_of_it = SPEAKS_OF_IT
            .as_ref()
            .is_some_and(|words| words.is_match(message));
        if speaks_of_it && status < 500 {
            Self::read(message, status)
        } else {
            None
        }
    }

    #[cold]
    fn read(message: &'a str, status: u16) -> Option<Self> {
        let lower = message.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let has_failed = status == 401 || has(&FAILED);
        let has_succeeded = (200..400).contains(&status) || has(&SUCCEEDED);
        if !has_failed && !has_succeeded {
            return None;
        }
        let said = Said::by(message);
        Some(Self {
            has_failed,
            user: said.user,
            address: said.address,
        })
    }

    /// What fields say is better than what the message says.
    #[must_use]
    pub(crate) fn with_fields(self, user: &'a str, address: &'a str) -> Self {
        let better = |field: &'a str, said: &'a str| if field.is_empty() { said } else { field };
        Self {
            has_failed: self.has_failed,
            user: better(user, self.user),
            address: better(address, self.address),
        }
    }
}

/// What a message says of who and from where.
#[derive(Debug, Clone, Copy, Default)]
struct Said<'a> {
    user: &'a str,
    address: &'a str,
}

impl<'a> Said<'a> {
    fn by(message: &'a str) -> Self {
        let mut said = Self::default();
        let mut before = "";
        let between = |letter: char| letter.is_whitespace() || "\"'`,;()[]{}<>".contains(letter);
        for word in message.split(between) {
            let word = word.trim_matches([':', '.']);
            if word.is_empty() {
                continue;
            }
            let (key, value) = word.split_once('=').unwrap_or((before, word));
            let is_key = |keys: &[&str]| keys.iter().any(|name| name.eq_ignore_ascii_case(key));
            let is_named = if word.contains('=') {
                is_key(&USER_KEYS)
            } else {
                is_key(&BEFORE_USER) && !is_one_of(&BEFORE_USER, word) && !tells_how(word)
            };
            if said.user.is_empty() && is_named && address(value).is_none() {
                said.user = value;
            }
            if said.address.is_empty() {
                said.address = address(value).unwrap_or_default();
            }
            before = word;
        }
        said
    }
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
    if word.parse::<IpAddr>().is_ok() {
        return Some(word);
    }
    let (host, port) = word.rsplit_once(':')?;
    (port.parse::<u16>().is_ok() && host.parse::<IpAddr>().is_ok()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(message: &str, status: u16) -> Option<(bool, String, String)> {
        let login = Login::of(message, status)?;
        Some((
            login.has_failed,
            login.user.to_owned(),
            login.address.to_owned(),
        ))
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
            let expected = (true, user.to_owned(), address.to_owned());
            assert_eq!(login(message, 0), Some(expected), "{message}");
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
            let expected = (false, user.to_owned(), address.to_owned());
            assert_eq!(login(message, 0), Some(expected), "{message}");
        }
    }

    #[test]
    fn the_status_tells_too_and_what_could_not_be_checked_is_none() {
        assert!(login("POST /login 401 12ms", 401).unwrap().0);
        assert!(!login("POST /login 200 12ms", 200).unwrap().0);
        assert_eq!(login("login failed: directory is down", 503), None);
        assert_eq!(login("token 7af expired", 401), None);
        assert_eq!(login("order 7 failed", 0), None);
        assert_eq!(login("password hashed in 3 ms", 0), None);
    }

    #[test]
    fn fields_are_better_than_words() {
        let login = Login::of("login failed for user a from 192.0.2.1", 0).unwrap();
        let login = login.with_fields("b", "");
        assert_eq!((login.user, login.address), ("b", "192.0.2.1"));
    }
}
