//! A TCP proxy in front of ClickHouse that plays tricks on inserts of log lines.
//!
//! Fault injection, not a stand-in: behind it is the real ClickHouse, and what is not tricked passes
//! unchanged. One request per connection, so that a request is either wholly in its hands or not.
//!
//! Invariant: a trick is played on exactly as many inserts as it was armed for.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, ensure};
use local_stack::{Ports, ports::loopback};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

const LARGEST_REQUEST: usize = 64 << 20;

/// What happens to one insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trick {
    /// Half of the request arrives, then both sides see the connection close.
    Cut,
    /// ClickHouse has answered, and the answer is thrown away.
    Swallow,
    /// The request reaches ClickHouse only when it is let go.
    HoldRequest,
    /// ClickHouse has answered; the answer is passed on only when it is let go.
    HoldAnswer,
}

impl Trick {
    pub(crate) const ALL: [Self; 4] = [
        Self::Cut,
        Self::Swallow,
        Self::HoldRequest,
        Self::HoldAnswer,
    ];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Cut => "inserts cut",
            Self::Swallow => "inserts done, answer thrown away",
            Self::HoldRequest => "inserts that arrived late",
            Self::HoldAnswer => "inserts done, answer late",
        }
    }
}

#[derive(Default)]
struct Orders {
    armed: Option<(Trick, u64)>,
    played: BTreeMap<Trick, u64>,
}

struct Shared {
    upstream: SocketAddr,
    orders: Mutex<Orders>,
    /// Counts how often what is held was let go.
    let_go: watch::Sender<u64>,
    open: watch::Sender<bool>,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(upstream: SocketAddr) -> anyhow::Result<Self> {
        // A port outside of the range for outgoing connections: it is given up and taken again.
        let address = loopback(Ports::free()?.clickhouse);
        let listener = TcpListener::bind(address).await?;
        let shared = Arc::new(Shared {
            upstream,
            orders: Mutex::default(),
            let_go: watch::channel(0).0,
            open: watch::channel(true).0,
        });
        let task = tokio::spawn(accept(listener, address, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next `times` inserts of log lines are treated so; replaces an earlier order.
    pub(crate) fn arm(&self, trick: Trick, times: u64) {
        self.shared.orders().armed = Some((trick, times));
    }

    pub(crate) fn disarm(&self) {
        self.shared.orders().armed = None;
    }

    pub(crate) fn played(&self, trick: Trick) -> u64 {
        let orders = self.shared.orders();
        orders.played.get(&trick).copied().unwrap_or_default()
    }

    /// Everything that is held goes on its way.
    pub(crate) fn let_go(&self) {
        self.shared.let_go.send_modify(|times| *times += 1);
    }

    /// Whether connections are taken; if not, they are refused by the kernel.
    pub(crate) fn set_open(&self, open: bool) {
        self.shared.open.send_replace(open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_trick(&self) -> Option<Trick> {
        let mut orders = self.orders();
        let (trick, left) = orders.armed.filter(|(_, left)| *left > 0)?;
        orders.armed = Some((trick, left - 1));
        Some(trick)
    }

    /// Said when the trick is on: the request or its answer is in the proxy's hands.
    fn note(&self, trick: Trick) {
        *self.orders().played.entry(trick).or_default() += 1;
    }
}

async fn accept(mut listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut open = shared.open.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    // Either side may close at any time; that is what the proxy is for.
                    let _ended = serve(client, &shared).await;
                });
            }
            changed = open.changed() => {
                if changed.is_err() {
                    return;
                }
                if *open.borrow_and_update() {
                    continue;
                }
                drop(listener);
                if open.wait_for(|open| *open).await.is_err() {
                    return;
                }
                listener = match TcpListener::bind(address).await {
                    Ok(listener) => listener,
                    Err(error) => panic!("{address} cannot be taken again: {error}"),
                };
            }
        }
    }
}

/// One request and its answer.
async fn serve(mut client: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    let Some(request) = read_request(&mut client).await? else {
        return Ok(());
    };
    let trick = is_insert_of_logs(&request)
        .then(|| shared.next_trick())
        .flatten();
    let mut let_go = shared.let_go.subscribe();
    if trick == Some(Trick::HoldRequest) {
        shared.note(Trick::HoldRequest);
        let_go.changed().await?;
    }
    let mut server = TcpStream::connect(shared.upstream).await?;
    if trick == Some(Trick::Cut) {
        server.write_all(&request[..request.len() / 2]).await?;
        server.flush().await?;
        shared.note(Trick::Cut);
        return Ok(());
    }
    server.write_all(&request).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    match trick {
        Some(Trick::Swallow) if !answer.is_empty() => {
            shared.note(Trick::Swallow);
            return Ok(());
        }
        Some(Trick::HoldAnswer) if !answer.is_empty() => {
            shared.note(Trick::HoldAnswer);
            let_go.changed().await?;
        }
        _ => {}
    }
    client.write_all(&answer).await?;
    Ok(client.shutdown().await?)
}

fn is_insert_of_logs(request: &[u8]) -> bool {
    let line = request.split(|byte| *byte == b'\r').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    line.starts_with("POST ") && line.contains("INSERT+INTO+logs+")
}

/// Head and body, with the wish that the connection be closed after the answer. `None`: nothing was
/// asked.
async fn read_request(client: &mut TcpStream) -> anyhow::Result<Option<Vec<u8>>> {
    let mut request = Vec::new();
    let end_of_head = loop {
        if let Some(at) = find(&request, b"\r\n\r\n") {
            break at;
        }
        ensure!(request.len() < 1 << 20, "a head of a megabyte");
        if client.read_buf(&mut request).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&request[..end_of_head]).to_ascii_lowercase();
    ensure!(
        !head.contains("transfer-encoding:"),
        "a body without a length cannot be held"
    );
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(Ok(0), |length| length.trim().parse())
        .context("content-length")?;
    ensure!(length <= LARGEST_REQUEST, "a body of {length} bytes");
    let whole = end_of_head + 4 + length;
    while request.len() < whole {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(None);
        }
    }
    let after_head = end_of_head + 2;
    request.splice(after_head..after_head, *b"connection: close\r\n");
    Ok(Some(request))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}
