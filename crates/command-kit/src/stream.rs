//! The stream of anomalies over WebSocket, followed through every interruption.
//!
//! Invariant: what is handed on comes once and in order: after an interruption it resumes from the
//! cursor of the last frame it handed on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use contracts::{
    Anomaly,
    websocket::{ClientFrame, Filter, SUBPROTOCOL, ServerFrame},
};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use strangers::printable;

/// The server pings every 15 s: silence for longer than this is a dead connection.
const SILENCE: Duration = Duration::from_secs(45);
/// From the first packet to the server's first frame.
const BEGINNING: Duration = Duration::from_secs(10);
/// A connection that lived that long was one; the next failure is a first one.
const SOUND: Duration = Duration::from_secs(30);
/// The pause before a second attempt, doubled for each further one, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Characters of what a server said that is not understood.
const QUOTED: usize = 200;

/// Reads an address of a gateway, such as `http://127.0.0.1:8080`.
pub fn gateway_address(text: &str) -> Result<String, String> {
    const RIGHT: &str = "expected http://HOST:PORT, such as http://127.0.0.1:8080";
    let address = reqwest::Url::parse(text).map_err(|error| format!("{error}; {RIGHT}"))?;
    if address.scheme() == "https" {
        return Err(format!(
            "https is not spoken here; {RIGHT}, through a tunnel if need be"
        ));
    }
    let bare = address.query().is_none() && address.fragment().is_none();
    if address.scheme() != "http" || address.host_str().is_none_or(str::is_empty) || !bare {
        return Err(RIGHT.to_owned());
    }
    Ok(address.as_str().trim_end_matches('/').to_owned())
}

/// How long to wait after so many failures in a row: twice as long each time, and by chance up to half
/// less, so that many clients of one gateway don't come back at once.
fn pause(failures: u32, chance: f64) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST_PAUSE).mul_f64(1.0 - chance / 2.0)
}

/// What there is to tell.
pub enum News {
    Anomaly(Box<Anomaly>),
    /// So many are not kept any more (`None`: how many is not known).
    Gone(Option<u64>),
    /// The connection is lost; it will be tried again.
    Lost(String),
    Connected,
}

pub struct Follower {
    url: String,
    filter: Filter,
    cursor: Option<String>,
    socket: Option<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    /// Since when this connection stands.
    since: Instant,
    greeted: bool,
    failures: u32,
}

impl Follower {
    /// `base`: the gateway's http address. `since`: `None` begins now.
    pub fn new(base: &str, filter: Filter, since: Option<String>) -> Self {
        let url = format!(
            "{}/ws/anomalies",
            base.trim_end_matches('/').replacen("http", "ws", 1)
        );
        Self {
            url,
            filter,
            cursor: since,
            socket: None,
            since: Instant::now(),
            greeted: false,
            failures: 0,
        }
    }

    /// Waits for the next thing to tell. Errs only for a server that is no gateway.
    pub async fn next(&mut self) -> anyhow::Result<News> {
        loop {
            let Some(socket) = &mut self.socket else {
                if self.failures > 0 {
                    tokio::time::sleep(pause(self.failures, rand::random())).await;
                }
                let connected = tokio::time::timeout(BEGINNING, self.connect()).await;
                match connected.unwrap_or_else(|_| {
                    bail!(
                        "{} takes connections and does not answer within {} s",
                        self.url,
                        BEGINNING.as_secs()
                    )
                }) {
                    Ok(()) => return Ok(News::Connected),
                    Err(error) => {
                        if let Some(refusal) = refusal(&error) {
                            bail!("{} answers {refusal}: no gateway is there", self.url);
                        }
                        self.failures += 1;
                        if self.failures == 1 {
                            return Ok(News::Lost(format!("{error:#}")));
                        }
                        continue;
                    }
                }
            };
            let silence = if self.greeted { SILENCE } else { BEGINNING };
            let message = match tokio::time::timeout(silence, socket.next()).await {
                Err(_) => return Ok(self.lost("the server has gone silent".to_owned())),
                Ok(None) => {
                    return Ok(self.lost("the server closed the connection".to_owned()));
                }
                Ok(Some(Err(error))) => return Ok(self.lost(error.to_string())),
                Ok(Some(Ok(message))) => message,
            };
            self.greeted = true;
            let Message::Text(text) = message else {
                continue;
            };
            let frame = serde_json::from_str(&text)
                .with_context(|| format!("an unknown frame: {}", printable(&text, QUOTED)))?;
            if let Some(news) = self.take(frame).await? {
                return Ok(news);
            }
        }
    }

    /// Counts as a failure unless the connection was a sound one.
    fn lost(&mut self, reason: String) -> News {
        self.socket = None;
        self.failures = if self.since.elapsed() >= SOUND {
            1
        } else {
            self.failures + 1
        };
        News::Lost(reason)
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
            ServerFrame::Error { code, message } => bail!(
                "the gateway answers {}: {}",
                printable(&code, QUOTED),
                printable(message, QUOTED)
            ),
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
        self.since = Instant::now();
        self.greeted = false;
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

/// The status of a server that is there and will not speak with us, however often it is asked.
fn refusal(error: &anyhow::Error) -> Option<tungstenite::http::StatusCode> {
    let error = error.downcast_ref::<tungstenite::Error>()?;
    let tungstenite::Error::Http(answer) = error else {
        return None;
    };
    let passing = [408, 425, 429].contains(&answer.status().as_u16());
    (answer.status().is_client_error() && !passing).then(|| answer.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let millis = |failures| pause(failures, 0.0).as_millis();
        assert_eq!([1, 2, 3, 6].map(millis), [500, 1000, 2000, 16_000]);
        assert_eq!(pause(1000, 0.0), LONGEST_PAUSE);
        assert_eq!(pause(2, 1.0), PAUSE);
    }

    #[test]
    fn addresses_are_checked_before_anything_is_tried() {
        assert_eq!(
            gateway_address("http://127.0.0.1:8080/").as_deref(),
            Ok("http://127.0.0.1:8080")
        );
        assert_eq!(
            gateway_address("http://h/base").as_deref(),
            Ok("http://h/base")
        );
        for wrong in [
            "127.0.0.1:8080",
            "gateway",
            "",
            "ws://h",
            "http://",
            "http://h:99999",
            "https://h",
            "http://h/?a",
            "file:///x",
        ] {
            let said = gateway_address(wrong).expect_err(wrong);
            assert!(
                said.contains("expected http://HOST:PORT"),
                "{wrong}: {said}"
            );
        }
    }
}
