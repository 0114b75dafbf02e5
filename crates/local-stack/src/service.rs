//! A program of the product, as a part of the stack.

use std::{ffi::OsString, time::Duration};

#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) name: String,
    pub(crate) program: String,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) grace: Duration,
}

impl Service {
    /// `program` lies beside the `barograph` command.
    pub fn new(program: &str) -> Self {
        Self {
            name: program.to_owned(),
            program: program.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            grace: Duration::from_secs(8),
        }
    }

    pub fn program(&self) -> &str {
        &self.program
    }

    /// Another name than the program's, to run several of a kind. Also names the log.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.args.push(argument.into());
        self
    }

    /// Time between SIGTERM and SIGKILL; 8 s unless said.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}
