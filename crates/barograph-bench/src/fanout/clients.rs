//! A process full of WebSocket clients: started by the measurement, not by people.
//!
//! It says `connected` when all of them are subscribed. `report` on standard input is answered with
//! one line of JSON, `resume` has those read that did not; the end of standard input ends it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use contracts::websocket::{ClientFrame, SUBPROTOCOL};
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpSocket, TcpStream},
    sync::watch,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message, client::IntoClientRequest as _, http::HeaderValue,
        protocol::WebSocketConfig,
    },
};

use super::{
    plan::Plan,
    tally::{self, Phase, Tally},
};
use command_kit::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The gateway.
    #[arg(long)]
    gateway: SocketAddr,
    /// Address that the clients come from.
    #[arg(long)]
    source: Ipv4Addr,
    /// Number of the first client.
    #[arg(long)]
    first: u64,
    /// Clients of this process.
    #[arg(long)]
    count: u64,
    /// Clients of all processes.
    #[arg(long)]
    of: u64,
}

/// Handshakes under way at once.
const AT_ONCE: usize = 64;
/// For one that did not read, to find out what became of it.
const RESUMED_WITHIN: Duration = Duration::from_secs(15);
/// What the kernel keeps for one that does not read.
const SMALL_BUFFER: u32 = 4096;

type Socket = WebSocketStream<TcpStream>;
type Shared = Arc<Mutex<Tally>>;

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let plan = Plan { clients: args.of };
    let tally = Shared::default();
    let (resume, resumed) = watch::channel(false);
    let clients = stream::iter(args.first..args.first + args.count);
    clients
        .map(|client| {
            let (tally, resumed) = (tally.clone(), resumed.clone());
            connect(&args, plan, client, tally, resumed)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    say::line("connected");
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Some(command) = commands.next_line().await? {
        match command.as_str() {
            "resume" => drop(resume.send_replace(true)),
            "report" => say::json(&serde_json::to_string(&*lock(&tally))?),
            unknown => bail!("unknown command {unknown:?}: it takes resume and report"),
        }
    }
    Ok(())
}

fn lock(tally: &Shared) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns when the client is subscribed; it reads on in a task.
async fn connect(
    args: &Args,
    plan: Plan,
    client: u64,
    tally: Shared,
    resumed: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let is_stuck = Plan::is_stuck(client);
    let mut socket = open(args, is_stuck)
        .await
        .with_context(|| format!("client {client} cannot connect to {}", args.gateway))?;
    let subscribe = ClientFrame::Subscribe {
        filter: plan.filter(client),
        since: None,
    };
    let subscribe = serde_json::to_string(&subscribe)?;
    socket.send(Message::text(subscribe)).await?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.contains(r#""type":"subscribed""#) => break,
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => bail!("the gateway hung up on client {client}"),
        }
    }
    if is_stuck {
        tokio::spawn(stuck(socket, tally, resumed));
    } else {
        tokio::spawn(read(socket, tally));
    }
    Ok(())
}

async fn open(args: &Args, is_stuck: bool) -> anyhow::Result<Socket> {
    let socket = TcpSocket::new_v4()?;
    if is_stuck {
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
    }
    socket.bind((args.source, 0).into())?;
    let stream = socket.connect(args.gateway).await?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{}/ws/anomalies", args.gateway).into_client_request()?;
    let protocol = HeaderValue::from_static(SUBPROTOCOL);
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let small = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0);
    let (socket, _answer) = client_async_with_config(request, stream, Some(small)).await?;
    Ok(socket)
}

async fn read(mut socket: Socket, tally: Shared) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let at = tally::now();
        match tally::read(&text) {
            Some((Phase::Group, sent)) => lock(&tally).group.add(at.saturating_sub(sent)),
            Some((Phase::Broadcast, sent)) => {
                let mut tally = lock(&tally);
                tally.broadcast.add(at.saturating_sub(sent));
                tally.last_broadcast = tally.last_broadcast.max(at);
            }
            Some((Phase::Begin, _)) => lock(&tally).begun += 1,
            None if text.contains(r#""type":"ping""#) => {}
            Some((Phase::Flood, _)) | None => lock(&tally).disturbed += 1,
        }
    }
    lock(&tally).disturbed += 1;
}

/// Does not read until it is told to; then what it was told counts.
async fn stuck(mut socket: Socket, tally: Shared, mut resumed: watch::Receiver<bool>) {
    // The sender lives until the process ends.
    let _ = resumed.wait_for(|resumed| *resumed).await;
    let found = tokio::time::timeout(RESUMED_WITHIN, async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) if text.contains(r#""type":"lagged""#) => {
                    return true;
                }
                Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) | None => return false,
                Some(Ok(_)) => {}
                Some(Err(_broken)) => return false,
            }
        }
    });
    let found = found.await;
    let mut tally = lock(&tally);
    match found {
        Ok(true) => tally.stuck_told += 1,
        Ok(false) => tally.stuck_dropped += 1,
        Err(_) => tally.stuck_neither += 1,
    }
}
