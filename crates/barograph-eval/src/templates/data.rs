//! The labelled sets: `<folder>/<Set>/structured_corrected.csv`, a row per line of a log with what was
//! logged in `Content` and the template that people gave it in `EventTemplate`.
//!
//! Invariant: a set has at least one line, and as many templates as lines.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

const FILE: &str = "structured_corrected.csv";
const LINE: &str = "Content";
const TEMPLATE: &str = "EventTemplate";
const VARIABLE: &str = "BAROGRAPH_DATA_DIR";

/// Lines of one program, labelled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
    pub(super) truth: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DataError {
    #[error(
        "which data? --data names the folder of the sets, or {VARIABLE} the folder that has \
         loghub2k in it"
    )]
    NotNamed,
    #[error(
        "{} cannot be read; it should be a folder of sets, each a folder with a {FILE}",
        dir.display()
    )]
    NoFolder { dir: PathBuf, source: io::Error },
    #[error("{} has no <Set>/{FILE} in it", dir.display())]
    NoSets { dir: PathBuf },
    #[error(
        "{} cannot be read; it should be CSV in UTF-8 whose first row names the columns",
        path.display()
    )]
    Unreadable { path: PathBuf, source: csv::Error },
    #[error(
        "{} has no column {column} (it has: {found}); it should have {LINE} and {TEMPLATE}",
        path.display()
    )]
    NoColumn {
        path: PathBuf,
        column: &'static str,
        found: String,
    },
    #[error("{} has no rows; it should have one for each line of the log", path.display())]
    NoLines { path: PathBuf },
}

/// The folder that was named, else `loghub2k` in the folder that the environment names.
pub(super) fn folder(named: Option<&Path>) -> Result<PathBuf, DataError> {
    if let Some(dir) = named {
        return Ok(dir.to_owned());
    }
    let variable = std::env::var_os(VARIABLE).filter(|dir| !dir.is_empty());
    let dir = variable.ok_or(DataError::NotNamed)?;
    Ok(PathBuf::from(dir).join("loghub2k"))
}

/// All sets of a folder, in the order of their names.
pub(super) fn read(dir: &Path) -> Result<Vec<Set>, DataError> {
    let no_folder = |source| DataError::NoFolder {
        dir: dir.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(no_folder)? {
        let entry = entry.map_err(no_folder)?;
        let path = entry.path().join(FILE);
        if path.is_file() {
            found.push((entry.file_name().to_string_lossy().into_owned(), path));
        }
    }
    if found.is_empty() {
        return Err(DataError::NoSets {
            dir: dir.to_owned(),
        });
    }
    found.sort();
    let sets = found.into_iter().map(|(name, path)| set(name, &path));
    sets.collect()
}

fn set(name: String, path: &Path) -> Result<Set, DataError> {
    let unreadable = |source| DataError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut rows = csv::Reader::from_path(path).map_err(unreadable)?;
    let header = rows.headers().map_err(unreadable)?.clone();
    let column = |column: &'static str| {
        let place = header.iter().position(|name| name == column);
        place.ok_or_else(|| DataError::NoColumn {
            path: path.to_owned(),
            column,
            found: header.iter().collect::<Vec<_>>().join(", "),
        })
    };
    let (line, template) = (column(LINE)?, column(TEMPLATE)?);
    let mut set = Set {
        name,
        lines: Vec::new(),
        truth: Vec::new(),
    };
    for row in rows.records() {
        // Every row has as many cells as the first one, or it is an error.
        let row = row.map_err(unreadable)?;
        set.lines.push(row[line].to_owned());
        set.truth.push(row[template].to_owned());
    }
    if set.lines.is_empty() {
        return Err(DataError::NoLines {
            path: path.to_owned(),
        });
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(files: &[(&str, &[u8])]) -> Result<Vec<Set>, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let set = dir.path().join(name);
            fs::create_dir(&set).unwrap();
            fs::write(set.join(FILE), content).unwrap();
        }
        let place = dir.path().display().to_string();
        read(dir.path()).map_err(|error| error.to_string().replace(&place, "DIR"))
    }

    #[test]
    fn sets_come_in_the_order_of_their_names() {
        let b = b"\xef\xbb\xbfLineId,Content,EventTemplate\r\n1,\"a \"\"b\"\", 1\",\"a \"\"b\"\", <*>\"\r\n";
        let a = b"EventTemplate,x,Content\nup,,up\ngone,,gone\n";
        let sets = sets(&[("B", b), ("A", a)]).unwrap();
        let of = |name: &str, lines: &[&str], truth: &[&str]| Set {
            name: name.to_owned(),
            lines: lines.iter().map(ToString::to_string).collect(),
            truth: truth.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(
            sets,
            [
                of("A", &["up", "gone"], &["up", "gone"]),
                of("B", &["a \"b\", 1"], &["a \"b\", <*>"])
            ]
        );
    }

    #[track_caller]
    fn check_refused(files: &[(&str, &[u8])], why: &str) {
        let error = sets(files).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn what_is_wrong_with_the_data_is_said() {
        check_refused(&[], "DIR has no <Set>/structured_corrected.csv in it");
        check_refused(
            &[("A", b"LineId,Content\n1,up\n")],
            "DIR/A/structured_corrected.csv has no column EventTemplate (it has: LineId, Content)",
        );
        check_refused(&[("A", b"Content,EventTemplate\n")], "has no rows");
        check_refused(&[("A", b"Content,EventTemplate\nup\n")], "cannot be read");
        check_refused(
            &[("A", b"Content,EventTemplate\n\xff,up\n")],
            "cannot be read",
        );
        let gone = read(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(gone.contains("should be a folder of sets"), "{gone}");
    }
}
