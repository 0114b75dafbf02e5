//! `file()`, its relatives and the engine `File` see one directory, as in a server with its default configuration.
//! Invariant: a path in their call is a literal without a way out of that directory.
//!
//! The engine takes paths relative to the directory the process runs in, which is that one, and takes
//! every other path too. What goes around this check still meets [`crate::confine`].

use std::path::{Path, PathBuf};

use crate::{
    exception::{Exception, Own},
    lexer::{Kind, Lexer, Token},
};

/// Whether statements may name files, and where those are.
#[derive(Debug, Clone)]
pub(crate) struct UserFiles {
    pub directory: PathBuf,
    pub allowed: bool,
}

impl UserFiles {
    /// Refuses a statement that calls `file(…)` for anything but a file of the directory.
    pub(crate) fn check(&self, text: &[u8]) -> Result<(), Exception> {
        let mut before = [None; 2];
        let mut lexer = Lexer::new(text);
        while let Some(token) = lexer.next() {
            if let Some(place) = place_of_path(text, token)
                && let Some(open) = lexer.clone().next()
                && open.kind == Kind::Sign(b'(')
            {
                let as_engine = before
                    .iter()
                    .flatten()
                    .any(|earlier: &Token| earlier.is(text, "ENGINE"));
                let place = if as_engine { Place::Second } else { place };
                self.check_call(text, lexer.clone(), place)?;
            }
            before = [before[1], Some(token)];
        }
        Ok(())
    }

    /// `call` stands before the opening bracket.
    fn check_call(&self, text: &[u8], mut call: Lexer<'_>, place: Place) -> Result<(), Exception> {
        if !self.allowed {
            return Err(denied(
                "files are not among the sources that are allowed here",
            ));
        }
        call.next();
        if place == Place::Second {
            // Without a path the rows of a table lie in its own directory.
            call.next();
            match call.next() {
                Some(comma) if comma.kind == Kind::Sign(b',') => {}
                _ => return Ok(()),
            }
        }
        let path = call.next();
        let after = call.next().map(|token| token.kind);
        let literal = path
            .filter(|token| token.kind == Kind::Text)
            .filter(|_| matches!(after, Some(Kind::Sign(b',' | b')'))))
            .and_then(|token| {
                text[token.start..token.end]
                    .strip_prefix(b"'")?
                    .strip_suffix(b"'")
            })
            .filter(|inner| !inner.contains(&b'\\') && !inner.contains(&b'\''))
            .and_then(|inner| std::str::from_utf8(inner).ok());
        match literal {
            Some(path) if self.is_inside(path) => Ok(()),
            Some(path) => Err(denied(&format!(
                "file {path:?} is not inside {}",
                self.directory.display()
            ))),
            None => Err(denied(
                "the path of a file has to be a plain string literal",
            )),
        }
    }

    fn is_inside(&self, path: &str) -> bool {
        // What is left once the alternatives of a pattern are put side by side.
        let plain: String = path.chars().filter(|c| !"{}[]*?,".contains(*c)).collect();
        let relative = Path::new(&plain)
            .strip_prefix(&self.directory)
            .unwrap_or(Path::new(&plain));
        !plain.is_empty()
            && !plain.contains(':')
            && !plain.contains("..")
            && !plain.starts_with('~')
            && relative.is_relative()
    }
}

/// Which argument is a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    /// After a format or a cluster.
    Second,
}

/// The functions that the grant of files opens, in small letters.
const FUNCTIONS: &[(&[u8], Place)] = &[
    (b"file", Place::First),
    (b"filecluster", Place::Second),
    (b"filesystem", Place::First),
    (b"iceberglocal", Place::First),
    (b"iceberglocalcluster", Place::Second),
    (b"deltalakelocal", Place::First),
    (b"paimonlocal", Place::First),
];

fn place_of_path(text: &[u8], token: Token) -> Option<Place> {
    let name = &text[token.start..token.end];
    let name = match token.kind {
        Kind::Word => name,
        // A typographic quote is three bytes long.
        Kind::QuotedName if name.starts_with(b"\xe2") => name.get(3..name.len() - 3)?,
        Kind::QuotedName => name.get(1..name.len() - 1)?,
        Kind::Text | Kind::Sign(_) => return None,
    };
    FUNCTIONS
        .iter()
        .find(|(function, _)| name.eq_ignore_ascii_case(function))
        .map(|(_, place)| *place)
}

fn denied(message: &str) -> Exception {
    Exception::own(Own::AccessDenied, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, allowed: bool) -> bool {
        let files = UserFiles {
            directory: PathBuf::from("/data/user_files"),
            allowed,
        };
        files.check(text.as_bytes()).is_ok()
    }

    #[test]
    fn files_of_the_directory_are_named() {
        for text in [
            "SELECT * FROM file('a.csv')",
            "SELECT * FROM file('x/*.csv', 'CSV', 'a Int8')",
            "SELECT * FROM file('/data/user_files/a.csv')",
            "SELECT file('a.txt')",
            "INSERT INTO FUNCTION file('b.csv', 'CSV') SELECT 1",
            "CREATE TABLE t (a Int8) ENGINE = File(CSV)",
            "CREATE TABLE t (a Int8) ENGINE = File(CSV, 'c.csv')",
            "SELECT file FROM t",
            "SELECT 'file(1)' -- file(2)",
        ] {
            assert!(check(text, true), "{text}");
        }
        assert!(!check("SELECT * FROM file('a.csv')", false));
        assert!(check("SELECT file, profile('x') FROM t", false));
    }

    #[test]
    fn no_other_path_is() {
        for text in [
            "SELECT * FROM file('/etc/passwd')",
            "SELECT file('/etc/passwd')",
            "SELECT `file`('/etc/passwd')",
            "SELECT FILE ( /* c */ '/etc/passwd')",
            "SELECT * FROM filesystem('/')",
            "SELECT * FROM fileCluster('default', '/etc/passwd', 'CSV')",
            "SELECT * FROM icebergLocal('/x')",
            "SELECT * FROM \u{201c}file\u{201d}('/etc/passwd')",
            "SELECT * FROM file('../a')",
            "SELECT * FROM file('a/../../b')",
            "SELECT * FROM file('{.}./metadata/x')",
            "SELECT * FROM file('\\x2fetc/passwd')",
            "SELECT * FROM file('/data/user_files/../x')",
            "SELECT * FROM file(concat('/etc', '/passwd'))",
            "SELECT * FROM file('a' || '/../x')",
            "SELECT * FROM file({path:String})",
            "SELECT * FROM file($$/etc/passwd$$)",
            "SELECT * FROM file('file:///etc/passwd')",
            "SELECT * FROM file('')",
            "CREATE TABLE t (a Int8) ENGINE = File(CSV, '/tmp/x')",
            "CREATE TABLE t (a Int8) ENGINE File('CSV', '/tmp/x')",
            "CREATE DICTIONARY d SOURCE(FILE(path '/etc/passwd'))",
        ] {
            assert!(!check(text, true), "{text}");
        }
    }
}
