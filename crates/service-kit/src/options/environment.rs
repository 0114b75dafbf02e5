//! Where options come from: the process environment over the `.env` file of the current directory.
//! Invariant: a real variable is never overridden by the file, and nothing is written back.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Group, Problems};

/// Name and text of every variable; `None` for a value that is not UTF-8.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, Option<String>>,
    problems: Problems,
}

impl Environment {
    /// The process environment, and under it `.env` in the current directory if that exists.
    pub fn of_process() -> Self {
        let mut environment = Self::default();
        environment.add_file(Path::new(".env"));
        for (name, value) in std::env::vars_os() {
            // A name that is not UTF-8 cannot be one of ours.
            let Ok(name) = name.into_string() else {
                continue;
            };
            // `KEY=` in the shell is how a user takes a value away, so it replaces the file's too.
            environment.values.insert(name, value.into_string().ok());
        }
        environment
    }

    /// Exactly these; for tests, and for options that come from somewhere else.
    pub fn of_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name, Some(value)));
        Self {
            values: values.collect(),
            problems: Problems::default(),
        }
    }

    /// Lines that cannot be read become problems, by number and without their text.
    fn add_file(&mut self, path: &Path) {
        let shown = path.display();
        let entries = match dotenvy::from_path_iter(path) {
            Ok(entries) => entries,
            Err(error) if error.not_found() => return,
            Err(error) => {
                self.problems
                    .push(format!("{shown}: cannot be read: {error}"));
                return;
            }
        };
        for (index, entry) in entries.enumerate() {
            match entry {
                Ok((name, value)) => {
                    self.values.entry(name).or_insert(Some(value));
                }
                Err(dotenvy::Error::LineParse(..)) => {
                    let entry = index + 1;
                    self.problems
                        .push(format!("{shown}: entry {entry} is not NAME=value"));
                }
                Err(error) => {
                    self.problems
                        .push(format!("{shown}: cannot be read: {error}"));
                    return;
                }
            }
        }
    }

    /// Reads a whole options struct, reporting everything that is wrong with it.
    pub fn read<T: Group>(&self) -> Result<T, Problems> {
        let mut problems = self.problems.clone();
        let options = T::read(self, &[], &mut problems);
        match options {
            Some(options) if problems.is_empty() => Ok(options),
            _ => Err(problems),
        }
    }

    /// What the variable says, or the first of its aliases that is set; empty is not set.
    pub fn text(
        &self,
        name: &str,
        aliases: &[String],
        problems: &mut Problems,
    ) -> Result<Option<&str>, Reported> {
        for name in std::iter::once(name).chain(aliases.iter().map(String::as_str)) {
            match self.values.get(name) {
                None => {}
                Some(Some(text)) if text.is_empty() => {}
                Some(Some(text)) => return Ok(Some(text)),
                Some(None) => {
                    problems.push(format!("{name}: the value is not UTF-8"));
                    return Err(Reported);
                }
            }
        }
        Ok(None)
    }
}

/// What is wrong is among the problems.
#[derive(Debug)]
pub struct Reported;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::options::KafkaOptions;

    #[test]
    fn the_file_stands_under_the_process_and_is_read_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".env");
        fs::write(
            &path,
            "# broker\nKAFKA_BROKERS=file:1\nexport KAFKA_TOPIC='from-file'\n",
        )
        .unwrap();
        let real = [("KAFKA_BROKERS".to_owned(), "real:2".to_owned())];
        let mut environment = Environment::of_pairs(real);
        environment.add_file(&path);
        let options: KafkaOptions = environment.read().unwrap();
        assert_eq!(options.kafka_brokers.as_str(), "real:2");
        assert_eq!(options.kafka_topic.as_str(), "from-file");
    }

    #[test]
    fn a_line_that_cannot_be_read_is_a_problem_without_its_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".env");
        fs::write(&path, "KAFKA_TOPIC=a\nKAFKA_SASL_PASSWORD='hunter2\n").unwrap();
        let mut environment = Environment::default();
        environment.add_file(&path);
        let problems = environment.read::<KafkaOptions>().unwrap_err().to_string();
        assert!(
            problems.ends_with(".env: entry 2 is not NAME=value"),
            "{problems}"
        );
        assert!(!problems.contains("hunter2"), "{problems}");
    }

    #[test]
    fn a_missing_file_is_nothing_to_speak_of() {
        let directory = tempfile::tempdir().unwrap();
        let mut environment = Environment::default();
        environment.add_file(&directory.path().join(".env"));
        assert!(environment.read::<KafkaOptions>().is_ok());
    }

    #[test]
    fn a_value_that_is_not_utf8_is_a_problem_only_where_it_is_read() {
        let mut environment = Environment::default();
        environment.values.insert("SOMETHING_ELSE".to_owned(), None);
        assert!(environment.read::<KafkaOptions>().is_ok());
        environment.values.insert("KAFKA_TOPIC".to_owned(), None);
        environment
            .values
            .insert("KAFKA_BROKERS".to_owned(), Some("foo".to_owned()));
        let problems = environment.read::<KafkaOptions>().unwrap_err();
        assert_eq!(
            problems.lines(),
            [
                r#"KAFKA_BROKERS: expected host:port[,host:port...], got "foo""#,
                "KAFKA_TOPIC: the value is not UTF-8",
            ]
        );
    }
}
