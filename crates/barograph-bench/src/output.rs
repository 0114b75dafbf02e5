//! How a measurement is told: flags that every one of them has, and what its report consists of.

use std::path::{Path, PathBuf};

use serde::Serialize;

use command_kit::figures::{self, Figure};

/// Flags that every measurement has.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Common {
    /// Write the figures as JSON to that file; `-` writes them to standard output, and the table
    /// to standard error.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where Kafka and ClickHouse are kept once fetched [default: ~/.cache/barograph].
    #[arg(long, env = "BAROGRAPH_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

/// What a measurement came to.
pub(super) trait Report: Serialize {
    fn text(&self) -> String;
    fn figures(&self) -> Vec<Figure>;
}

impl Common {
    pub(super) fn cache_dir(&self) -> Option<&Path> {
        self.cache_dir.as_deref()
    }

    /// The same places, and no JSON.
    pub(super) fn without_json(&self) -> Self {
        Self {
            json: None,
            cache_dir: self.cache_dir.clone(),
        }
    }

    pub(super) fn tell(&self, report: &impl Report) -> anyhow::Result<()> {
        figures::tell(
            report.text(),
            &report.figures(),
            report,
            self.json.as_deref(),
        )
    }
}
