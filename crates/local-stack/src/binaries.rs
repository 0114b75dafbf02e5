//! Where the programs of the product lie.
//!
//! Invariant: they all lie in one directory, the one of the `barograph` command.

use std::{env, path::PathBuf};

use crate::StackError;

#[derive(Debug, Clone)]
pub struct Binaries {
    barograph: PathBuf,
    dir: PathBuf,
}

impl Binaries {
    /// `BAROGRAPH_BIN`, else `barograph` beside the running program, else one directory up from
    /// `deps/` (where Cargo puts tests).
    pub fn find() -> Result<Self, StackError> {
        let running = env::current_exe()
            .map_err(|source| StackError::io("find the running program", source))?;
        let beside = running.parent().map(|dir| dir.join("barograph"));
        let above = running
            .parent()
            .and_then(|dir| dir.parent())
            .map(|dir| dir.join("barograph"));
        let candidates: Vec<PathBuf> = match env::var_os("BAROGRAPH_BIN") {
            Some(named) => vec![PathBuf::from(named)],
            None => beside.into_iter().chain(above).collect(),
        };
        let barograph = candidates
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| StackError::NoBinary {
                name: "barograph".to_owned(),
                dir: running.parent().map(PathBuf::from).unwrap_or_default(),
            })?;
        let dir = barograph.parent().map(PathBuf::from).unwrap_or_default();
        Ok(Self { barograph, dir })
    }

    pub fn barograph(&self) -> &PathBuf {
        &self.barograph
    }

    /// Another program of the product.
    pub fn sibling(&self, name: &str) -> Result<PathBuf, StackError> {
        let path = self.dir.join(name);
        if path.is_file() {
            return Ok(path);
        }
        Err(StackError::NoBinary {
            name: name.to_owned(),
            dir: self.dir.clone(),
        })
    }
}
