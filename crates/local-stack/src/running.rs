//! A note in the data directory about the stack that runs there, for other commands to find it.
//!
//! Invariant: the note is believed only while a stack holds the directory.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{LocalStack, StackError, ground};

const NAME: &str = "stack.json";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// The process that owns the stack.
    pub owner: u32,
    /// Its parts and their supervisors at the start.
    pub pids: Vec<u32>,
    /// What its services were given: where Kafka and ClickHouse are.
    pub env: BTreeMap<String, String>,
    /// Base address of the gateway, if it runs one.
    pub gateway: Option<String>,
    /// Base addresses of the services' admin servers, by service.
    pub admin: BTreeMap<String, String>,
}

impl Running {
    pub fn of(stack: &LocalStack) -> Self {
        Self {
            owner: std::process::id(),
            pids: stack.pids(),
            env: stack.env_for_services().into_iter().collect(),
            gateway: None,
            admin: BTreeMap::new(),
        }
    }

    /// Only for the owner's eyes: it holds a password.
    pub fn write(&self, data_dir: &Path) -> Result<(), StackError> {
        let path = data_dir.join(NAME);
        let partial = data_dir.join(".stack.json.partial");
        let write = || {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&partial)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            fs::rename(&partial, &path)
        };
        write().map_err(|source| StackError::io(format!("write {}", path.display()), source))
    }

    /// `None` when no stack runs there.
    pub fn read(data_dir: &Path) -> Option<Self> {
        if !ground::in_use(data_dir) {
            return None;
        }
        let text = fs::read(data_dir.join(NAME)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub fn remove(data_dir: &Path) {
        // A note that stays behind is not believed.
        let _ = fs::remove_file(data_dir.join(NAME));
    }
}
