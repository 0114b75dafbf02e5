//! The stream of anomalies over WebSocket, followed through every interruption.
//!
//! Invariant: what is handed on comes once and in order: after an interruption it resumes from the
//! cursor of the last frame it handed on.

use std::time::Duration;

use anyhow::{Context as _, bail};
use contracts::{
    Anomaly,
    websocket::{ClientFrame, Filter, SUBPROTOCOL, ServerFrame},
};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

/// The server pings every 15 s: silence for longer than this is a dead connection.
const SILENCE: Duration = Duration::from_secs(45);

/// What there is to tell.
pub(crate) enum News {
    Anomaly(Box<Anomaly>),
    /// So many are not kept any more (`None`: how many is not known).
    Gone(Option<u64>),
    /// The connection is lost; it will be tried again.
    Lost(String),
    Connected,
}

pub(crate) struct Follower {
    url: String,
    filter: Filter,
    cursor: Option<String>,
    socket: Option<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    failures: u32,
}

impl Follower {
    /// `base`: the gateway's http address. `since`: `None` begins now.
    pub(crate) fn new(base: &str, filter: Filter, since: Option<String>) -> Self {
        let url = format!(
            "{}/ws/anomalies",
            base.trim_end_matches('/').replacen("http", "ws", 1)
        );
        Self {
            url,
            filter,
            cursor: since,
            socket: None,
            failures: 0,
        }
    }

    /// Waits for the next thing to tell. Errs only for a server that is no gateway.
    pub(crate) async fn next(&mut self) -> anyhow::Result<News> {
        loop {
            let Some(socket) = &mut self.socket else {
                if self.failures > 0 {
                    tokio::time::sleep(Duration::from_millis(
                        500 * u64::from(self.failures.min(10)),
                    ))
                    .await;
                }
                match self.connect().await {
                    Ok(()) => {
                        self.failures = 0;
                        return Ok(News::Connected);
                    }
                    Err(error) => {
                        self.failures += 1;
                        if self.failures == 1 {
                            return Ok(News::Lost(format!("{error:#}")));
                        }
                        continue;
                    }
                }
            };
            let message = match tokio::time::timeout(SILENCE, socket.next()).await {
                Err(_) => {
                    self.socket = None;
                    return Ok(News::Lost("the server has gone silent".to_owned()));
                }
                Ok(None) => {
                    self.socket = None;
                    return Ok(News::Lost("the server closed the connection".to_owned()));
                }
                Ok(Some(Err(error))) => {
                    self.socket = None;
                    return Ok(News::Lost(error.to_string()));
                }
                Ok(Some(Ok(message))) => message,
            };
            let Message::Text(text) = message else {
                continue;
            };
            let frame =
                serde_json::from_str(&text).with_context(|| format!("an unknown frame: {text}"))?;
            if let Some(news) = self.take(frame).await? {
                return Ok(news);
            }
        }
    }

    async fn take(&mut self, frame: ServerFrame) -> anyhow::Result<Option<News>> {
        match frame {
            ServerFrame::Anomaly {
                cursor, anomaly, ..
            } => {
                self.cursor = Some(cursor);
                return Ok(Some(News::Anomaly(anomaly)));
            }
            ServerFrame::Subscribed { cursor } => {
                self.cursor.get_or_insert(cursor);
            }
            ServerFrame::Gone { missed } => return Ok(Some(News::Gone(missed))),
            // What was left out comes again from there.
            ServerFrame::Lagged { cursor, .. } => {
                self.cursor = Some(cursor);
                self.subscribe().await?;
            }
            ServerFrame::Error { code, message } => bail!("the gateway answers {code}: {message}"),
            // Covers what the filter left out.
            ServerFrame::Ping {
                cursor: Some(cursor),
            } if self.cursor.is_some() => self.cursor = Some(cursor),
            ServerFrame::Hello { .. } | ServerFrame::Ping { .. } => {}
        }
        Ok(None)
    }

    async fn connect(&mut self) -> anyhow::Result<()> {
        let mut request = self
            .url
            .as_str()
            .into_client_request()
            .with_context(|| format!("{} is no address", self.url))?;
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            HeaderValue::from_static(SUBPROTOCOL),
        );
        let (socket, _answer) = connect_async(request)
            .await
            .with_context(|| format!("no gateway answers at {}", self.url))?;
        self.socket = Some(socket);
        self.subscribe().await
    }

    async fn subscribe(&mut self) -> anyhow::Result<()> {
        let frame = ClientFrame::Subscribe {
            filter: self.filter.clone(),
            since: self.cursor.clone(),
        };
        if let Some(socket) = &mut self.socket {
            socket
                .send(Message::text(serde_json::to_string(&frame)?))
                .await?;
        }
        Ok(())
    }
}
