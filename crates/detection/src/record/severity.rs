//! Whether a message sounds bad whatever its level.

/// What no program says in passing. Whole words, or the beginnings of some, in lower case.
const WORDS: [&str; 14] = [
    "panic",
    "fatal",
    "segfault",
    "segmentation fault",
    "core dumped",
    "out of memory",
    "oom-kill",
    "stack overflow",
    "corrupt",
    "deadlock",
    "data loss",
    "no space left",
    "disk full",
    "unrecoverable",
];

/// Case does not matter. For lines that come seldom: it looks at all of it.
pub(crate) fn sounds_severe(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    WORDS.iter().any(|word| {
        let mut found = message.match_indices(word);
        found.any(|(at, _)| !message[..at].ends_with(|before: char| before.is_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_heard_in_any_case_and_not_inside_of_others() {
        for message in [
            "thread 'main' panicked at src/main.rs:7",
            "java.lang.OutOfMemoryError: Out of memory",
            "FATAL: terminating",
            "page 12 is corrupted",
        ] {
            assert!(sounds_severe(message), "{message}");
        }
        for message in ["", "nonfatal retry", "0 errors", "incorruptible"] {
            assert!(!sounds_severe(message), "{message}");
        }
    }
}
