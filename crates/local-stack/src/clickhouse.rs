//! One ClickHouse: the engine behind its HTTP protocol, in a process of its own.
//!
//! Invariant: it is said to be ready only after it answered `/ping`. The password reaches it by
//! environment, never by its arguments, which every user of the machine can read.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    StackError, cache,
    child::Child,
    ground::Ground,
    ports::loopback,
    progress::{Event, Progress},
    ready::await_ready,
};

const NAME: &str = "clickhouse";
pub(crate) const PROGRAM: &str = "clickhouse-embedded";
const START_DEADLINE: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(5);

pub struct ClickHouse {
    child: Child,
    port: u16,
    progress: Progress,
}

impl ClickHouse {
    pub(crate) async fn start(ground: &Ground) -> Result<Self, StackError> {
        let program = ground.binaries.sibling(PROGRAM)?;
        let library = ground.fetcher.clickhouse(&ground.progress).await?;
        ground.progress.as_ref()(Event::Starting {
            part: NAME.to_owned(),
        });
        let dir = ground.data_dir.join(NAME);
        cache::create_private_dir(&dir)?;
        let config = &ground.config;
        let args = vec![
            "--library".into(),
            library.into(),
            "--path".into(),
            dir.into(),
            "--listen".into(),
            loopback(config.ports.clickhouse).to_string().into(),
            "--database".into(),
            config.database.clone().into(),
        ];
        let mut part = ground.part(NAME, program, args, GRACE);
        part.env = vec![
            ("CLICKHOUSE_USER".to_owned(), config.user.clone()),
            ("CLICKHOUSE_PASSWORD".to_owned(), ground.password.clone()),
        ];
        let clickhouse = Self {
            child: Child::start(part)?,
            port: config.ports.clickhouse,
            progress: ground.progress.clone(),
        };
        clickhouse.ready().await?;
        Ok(clickhouse)
    }

    pub fn url(&self) -> String {
        format!("http://{}", loopback(self.port))
    }

    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Ends it in an orderly way and brings it back with its data.
    pub async fn restart(&self) -> Result<(), StackError> {
        self.child.stop().await;
        self.start_again().await
    }

    /// Brings it back after it ended.
    pub async fn start_again(&self) -> Result<(), StackError> {
        self.child.start_again()?;
        self.ready().await
    }

    async fn ready(&self) -> Result<(), StackError> {
        await_ready(&self.child, START_DEADLINE, &self.progress, || async {
            let address = loopback(self.port);
            match ping(address).await {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
                Ok(answer) => Err(answer.lines().next().unwrap_or_default().to_owned()),
                Err(error) => Err(format!("{address}: {error}")),
            }
        })
        .await
    }
}

async fn ping(address: std::net::SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /ping HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
