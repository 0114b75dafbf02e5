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
    let text = end_of(path).unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let first = lines.len().saturating_sub(count);
    lines[first..].iter().map(ToString::to_string).collect()
}

fn end_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(PIECE)))?;
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
    fn a_missing_file_has_no_lines() {
        assert!(last_lines(Path::new("missing/part.log"), 2).is_empty());
    }
}
