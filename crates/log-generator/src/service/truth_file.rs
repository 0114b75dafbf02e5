//! Labels in a file, one JSON object a line.
//! Invariant: a label that was written is in the file at once, whole.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use contracts::truth::Truth;

#[derive(Debug)]
pub(super) struct TruthFile(File);

impl TruthFile {
    /// Appends to what is there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map(Self)
    }

    pub(super) fn write(&mut self, truth: &Truth) -> io::Result<()> {
        let mut line = serde_json::to_vec(truth)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use contracts::{Timestamp, truth::Fault};

    use super::*;

    #[test]
    fn labels_are_lines_that_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("truth.jsonl");
        let label = |ordinal| Truth {
            schema_version: 1,
            ordinal,
            kind: Fault::Cascade,
            service: "payments".to_owned(),
            affected: vec!["checkout".to_owned()],
            start: Timestamp::from_millis(1),
            end: Timestamp::from_millis(2),
            magnitude: 0.5,
            injected_at: Timestamp::from_millis(3),
        };
        TruthFile::open(&path).unwrap().write(&label(0)).unwrap();
        TruthFile::open(&path).unwrap().write(&label(1)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Truth> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, [label(0), label(1)]);
    }
}
