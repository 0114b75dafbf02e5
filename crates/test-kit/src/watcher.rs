//! A WebSocket client that collects frames and comes back with its cursor.

use std::{sync::Arc, sync::Mutex, sync::MutexGuard, sync::PoisonError, time::Duration};

use anyhow::{Context as _, bail};
use contracts::{
    Anomaly,
    websocket::{ClientFrame, Filter, SUBPROTOCOL, ServerFrame},
};
use futures::{SinkExt as _, StreamExt as _};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use crate::wait;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One anomaly frame.
#[derive(Debug, Clone)]
pub struct Received {
    pub cursor: String,
    pub anomaly: Anomaly,
}

#[derive(Default)]
struct Inbox {
    frames: Vec<Received>,
    cursor: Option<String>,
    /// What must not happen to a client that comes back in time.
    trouble: Vec<String>,
}

/// Connected to one gateway address, through every interruption, until it is dropped.
pub struct Watcher {
    inbox: Arc<Mutex<Inbox>>,
    connections: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// `gateway`: its address with the scheme `ws`. Returns once the subscription stands.
    pub async fn connect(gateway: &str) -> anyhow::Result<Self> {
        let url = format!("{gateway}/ws/anomalies");
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let (connected, mut connections) = watch::channel(0);
        let task = tokio::spawn(follow(url, Arc::clone(&inbox), connected));
        tokio::time::timeout(wait::LONG, connections.wait_for(|count| *count > 0))
            .await
            .context("the gateway takes no client")??;
        Ok(Self {
            inbox,
            connections,
            task,
        })
    }

    pub fn frames(&self) -> Vec<Received> {
        lock(&self.inbox).frames.clone()
    }

    /// How often it has connected.
    pub fn connections(&self) -> u64 {
        *self.connections.borrow()
    }

    /// Frames that a client which comes back in time should never see.
    pub fn trouble(&self) -> Vec<String> {
        lock(&self.inbox).trouble.clone()
    }

    /// Waits until an anomaly has come that `wanted` says yes to.
    pub async fn find(
        &self,
        what: &str,
        wanted: impl Fn(&Anomaly) -> bool,
    ) -> anyhow::Result<Anomaly> {
        let found = wait::until(what, wait::LONG, async || {
            let inbox = lock(&self.inbox);
            let mut frames = inbox.frames.iter();
            Ok(frames
                .find(|frame| wanted(&frame.anomaly))
                .map(|frame| frame.anomaly.clone()))
        });
        found.await.with_context(|| {
            let frames = self.frames();
            let titles: Vec<_> = frames.iter().map(|frame| &frame.anomaly.title).collect();
            format!("what came: {titles:#?}")
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(url: String, inbox: Arc<Mutex<Inbox>>, connected: watch::Sender<u64>) {
    loop {
        // A connection ends with the gateway; that is what coming back is for.
        let _ended = follow_once(&url, &inbox, &connected).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn follow_once(
    url: &str,
    inbox: &Mutex<Inbox>,
    connected: &watch::Sender<u64>,
) -> anyhow::Result<()> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert(
        "Sec-WebSocket-Protocol",
        HeaderValue::from_static(SUBPROTOCOL),
    );
    let (mut socket, _answer) = connect_async(request).await?;
    subscribe(&mut socket, inbox).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else {
            continue;
        };
        let frame: ServerFrame = serde_json::from_str(&text)?;
        match frame {
            ServerFrame::Anomaly {
                cursor, anomaly, ..
            } => {
                let mut inbox = lock(inbox);
                inbox.cursor = Some(cursor.clone());
                inbox.frames.push(Received {
                    cursor,
                    anomaly: *anomaly,
                });
            }
            ServerFrame::Subscribed { cursor } => {
                lock(inbox).cursor.get_or_insert(cursor);
                connected.send_modify(|count| *count += 1);
            }
            ServerFrame::Lagged { cursor, .. } => {
                lock(inbox).cursor = Some(cursor);
                subscribe(&mut socket, inbox).await?;
            }
            ServerFrame::Ping {
                cursor: Some(cursor),
            } => lock(inbox).cursor = Some(cursor),
            ServerFrame::Hello { .. } | ServerFrame::Ping { .. } => {}
            ServerFrame::Gone { .. } | ServerFrame::Error { .. } => {
                lock(inbox).trouble.push(text.to_string());
            }
        }
    }
    bail!("the gateway closed the connection")
}

async fn subscribe(socket: &mut Socket, inbox: &Mutex<Inbox>) -> anyhow::Result<()> {
    let since = lock(inbox).cursor.clone();
    let frame = ClientFrame::Subscribe {
        filter: Filter::default(),
        since,
    };
    let text = serde_json::to_string(&frame)?;
    Ok(socket.send(Message::text(text)).await?)
}
