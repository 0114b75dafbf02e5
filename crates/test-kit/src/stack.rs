//! One Kafka and one ClickHouse, alone or shared by the tests of one program.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use clickhouse_store::{Client, Target};
use local_stack::{LocalStack, StackConfig, binaries::Binaries, progress};
use tokio::sync::OnceCell;

use crate::{service, space::Space};

const PROGRAMS: [&str; 3] = ["anomaly-processor", "ws-gateway", "log-generator"];
const HOW_TO_BUILD: &str = "the programs under test must be built first: \
     `cargo build --release --workspace --bins`, then `cargo test --release`";

/// Stands in the name of a directory that only this module makes and removes.
const PREFIX: &str = "stack-";

pub struct Stack {
    // Before the directory: what runs in it ends first.
    local: LocalStack,
    _dir: tempfile::TempDir,
}

static SHARED: OnceCell<Arc<Stack>> = OnceCell::const_new();

impl Stack {
    /// For tests that stop the stores, or want them to themselves.
    pub async fn start() -> anyhow::Result<Arc<Self>> {
        Self::start_in(tempfile::tempdir()?, |_| {}).await
    }

    /// As [`Self::start`], and otherwise as `change` makes it.
    pub async fn start_with(change: impl FnOnce(&mut StackConfig)) -> anyhow::Result<Arc<Self>> {
        Self::start_in(tempfile::tempdir()?, change).await
    }

    /// The one of this program, under `scratch`. It ends with the program; what it stored is
    /// removed by the next one.
    pub async fn shared(scratch: &Path) -> anyhow::Result<Arc<Self>> {
        let stack = SHARED.get_or_try_init(|| async {
            remove_leftovers(scratch);
            let dir = tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir_in(scratch)?;
            Self::start_in(dir, |_| {}).await
        });
        stack.await.cloned()
    }

    async fn start_in(
        dir: tempfile::TempDir,
        change: impl FnOnce(&mut StackConfig),
    ) -> anyhow::Result<Arc<Self>> {
        let mut config = StackConfig::on_free_ports(dir.path())?;
        config.programs = PROGRAMS.map(str::to_owned).to_vec();
        change(&mut config);
        let local = LocalStack::start(config, progress::silent())
            .await
            .context(HOW_TO_BUILD)?;
        Ok(Arc::new(Self { local, _dir: dir }))
    }

    pub fn local(&self) -> &LocalStack {
        &self.local
    }

    /// A client of the database, which need not exist.
    pub fn client(&self, database: &str) -> anyhow::Result<Client> {
        Ok(Client::new(Target {
            url: self.local.clickhouse.url(),
            database: database.to_owned(),
            user: self.local.config().user.clone(),
            password: self.local.password().to_owned(),
        })?
        .patient())
    }

    /// A room of its own: topics `<name>-logs` and so on, a group, a database with the schema.
    pub async fn space(self: &Arc<Self>, name: &str) -> anyhow::Result<Space> {
        Space::make(Arc::clone(self), name, 2).await
    }

    pub async fn space_of(self: &Arc<Self>, name: &str, partitions: i32) -> anyhow::Result<Space> {
        Space::make(Arc::clone(self), name, partitions).await
    }

    pub fn spawn(&self, service: local_stack::Service) -> anyhow::Result<service::Running> {
        service::Running::start(&self.local, service).context(HOW_TO_BUILD)
    }
}

/// Directories of programs that have ended.
fn remove_leftovers(scratch: &Path) {
    let entries = std::fs::read_dir(scratch).into_iter().flatten().flatten();
    for entry in entries {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if ours && !local_stack::in_use(&entry.path()) {
            // It goes the next time.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A program of the product, for tests that run it themselves.
pub fn program(name: &str) -> anyhow::Result<std::path::PathBuf> {
    Binaries::find()
        .and_then(|binaries| binaries.sibling(name))
        .context(HOW_TO_BUILD)
}
