//! Everything that is wrong with the options, collected before anything is said.
//! Invariant: callers put no secret into it; `Setting` keeps that promise for values.

use std::fmt;
use std::process::ExitCode;

use crate::lifecycle::Exit;

/// One line for each thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// Prints every problem to standard error and answers with exit code 64.
    pub fn report(&self, service: &str) -> ExitCode {
        for problem in &self.0 {
            eprintln!("{service}: {problem}");
        }
        Exit::Options.into()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            out.write_str(problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
