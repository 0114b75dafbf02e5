//! Whether a message sounds bad whatever its level.

/// What no program says in passing. In lower case, and whole words but for their endings.
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

/// What such a word may end in.
const ENDINGS: [&str; 6] = ["", "s", "ed", "ked", "ion", "ing"];

/// Case does not matter. For lines that come seldom: it looks at all of it.
pub(crate) fn sounds_severe(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    WORDS.iter().any(|word| {
        let mut found = message.match_indices(word);
        found.any(|(at, _)| {
            let (before, rest) = (&message[..at], &message[at + word.len()..]);
            let ending = rest.split(|letter| !is_part(letter)).next();
            !before.ends_with(is_part) && ending.is_some_and(|it| ENDINGS.contains(&it))
        })
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
            "index corruption, rebuilding",
        ] {
            assert!(sounds_severe(message), "{message}");
        }
        for message in [
            "",
            "nonfatal retry",
            "0 errors",
            "incorruptible",
            "arm 7 assigned to josianne_corrupti",
            "arm 7 assigned to panicdisco",
        ] {
            assert!(!sounds_severe(message), "{message}");
        }
    }
}
