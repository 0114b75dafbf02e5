//! The newest lines of a log file.
//!
//! Invariant: reads a bounded piece from the end, however large the file is.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

const PIECE: u64 = 64 * 1024;

/// At most `count` lines, oldest first. A file that cannot be read has none.
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    last_lines_since(path, 0, count)
}

/// Of what stands behind the byte `from`; all of it if the file has begun anew since.
pub(crate) fn last_lines_since(path: &Path, from: u64, count: usize) -> Vec<String> {
    let text = end_of(path, from).unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let first = lines.len().saturating_sub(count);
    lines[first..].iter().map(ToString::to_string).collect()
}

fn end_of(path: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = if from <= length { from } else { 0 };
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(PIECE))))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_come_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("part.log");
        std::fs::write(&log, "one\ntwo\n\nthree\n").unwrap();
        assert_eq!(last_lines(&log, 2), ["two", "three"]);
    }

    #[test]
    fn what_an_earlier_run_said_is_not_this_ones() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("part.log");
        std::fs::write(&log, "earlier\nnow\n").unwrap();
        assert_eq!(last_lines_since(&log, 8, 5), ["now"]);
        assert_eq!(last_lines_since(&log, 12, 5), Vec::<String>::new());
        assert_eq!(last_lines_since(&log, 1000, 5), ["earlier", "now"]);
    }

    #[test]
    fn a_missing_file_has_no_lines() {
        assert!(last_lines(Path::new("missing/part.log"), 2).is_empty());
    }
}
