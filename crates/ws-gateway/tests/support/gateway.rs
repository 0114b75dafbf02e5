//! A gateway in this process, and clients for it.

use std::sync::Arc;
use std::time::Duration;

use clickhouse_store::{Client, Target};
use contracts::websocket::ServerFrame;
use futures::{SinkExt, StreamExt};
use service_kit::{Registry, Tasks};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use ws_gateway::app::{App, Timing, router};
use ws_gateway::clients::Clients;
use ws_gateway::log::{Bounds, Record, SharedLog};
use ws_gateway::metrics::Metrics;
use ws_gateway::stored::{DeadLetters, Stored};

use super::anomalies;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Gateway {
    pub(crate) address: String,
    pub(crate) log: Arc<SharedLog>,
    pub(crate) tasks: Tasks,
}

#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) most: usize,
    pub(crate) queue: usize,
    pub(crate) timing: Timing,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            most: 100,
            queue: 1024,
            timing: Timing::default(),
        }
    }
}

impl Gateway {
    pub(crate) async fn start(settings: Settings) -> Self {
        let tasks = Tasks::detached();
        let metrics = Metrics::new(&Registry::new());
        let bounds = Bounds {
            entries: 1000,
            bytes: usize::MAX,
        };
        let log = Arc::new(SharedLog::new(bounds));
        log.change(|log| {
            log.begin(0xfeed, &[0]);
            log.set_loaded();
        });
        // Nothing listens on port 1.
        let nowhere = kafka_io::Connection::plain("127.0.0.1:1");
        let kafka = Arc::new(kafka_io::reader::client(&nowhere).unwrap());
        let clickhouse = Client::new(Target {
            url: "http://127.0.0.1:1".to_owned(),
            database: "barograph".to_owned(),
            user: "default".to_owned(),
            password: String::new(),
        });
        let clients = Clients::new(settings.most, metrics.clone());
        let app = Arc::new(App {
            log: Arc::clone(&log),
            clients: clients.clone(),
            metrics,
            stored: Stored::new(
                clickhouse.unwrap(),
                DeadLetters::new(kafka, "x.dlq".to_owned()),
            ),
            allowed_origins: None,
            queue: settings.queue,
            timing: settings.timing,
            tasks: tasks.clone(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = ws_gateway::server::serve(listener, router(app), clients, tasks.clone());
        tasks.spawn("server", served);
        Self {
            address,
            log,
            tasks,
        }
    }

    pub(crate) fn publish(&self, offset: i64, padding: usize) {
        let mut anomaly = anomalies::anomaly(offset as u128, 1);
        anomaly.title.push_str(&" ".repeat(padding));
        let document = serde_json::to_string(&anomaly).unwrap();
        self.log.change(|log| {
            log.append(&Record {
                partition: 0,
                offset,
                anomaly: &anomaly,
                document: &document,
                traceparent: None,
            })
        });
    }

    pub(crate) async fn connect(&self) -> Socket {
        self.connect_with(&[("sec-websocket-protocol", "barograph.v1")])
            .await
            .unwrap()
    }

    pub(crate) async fn connect_with(
        &self,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, WsError> {
        let url = format!("ws://{}/ws/anomalies", self.address);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, response) = tokio_tungstenite::connect_async(request).await?;
        let offered = headers
            .iter()
            .any(|(name, _)| *name == "sec-websocket-protocol");
        assert_eq!(
            response.headers().contains_key("sec-websocket-protocol"),
            offered
        );
        Ok(Socket(socket))
    }

    /// Status, head and body of an answer.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> (u16, String, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let host = &self.address;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head[9..12].parse().unwrap(),
            head.to_ascii_lowercase(),
            body.to_owned(),
        )
    }
}

pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0
            .send(Message::Text(Utf8Bytes::from(text)))
            .await
            .unwrap();
    }

    pub(crate) async fn message(&mut self) -> Option<Result<Message, WsError>> {
        tokio::time::timeout(DEADLINE, self.0.next()).await.unwrap()
    }

    pub(crate) async fn frame(&mut self) -> ServerFrame {
        loop {
            if let Message::Text(text) = self.message().await.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Id and cursor of the next anomaly.
    pub(crate) async fn anomaly(&mut self) -> (u128, String) {
        match self.frame().await {
            ServerFrame::Anomaly {
                cursor, anomaly, ..
            } => (anomaly.id.as_u128(), cursor),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn subscribe(&mut self, since: &str) {
        let ServerFrame::Hello { .. } = self.frame().await else {
            panic!("hello comes first")
        };
        self.send(&format!(r#"{{"type":"subscribe","since":{since}}}"#))
            .await;
        let answer = self.frame().await;
        assert!(
            matches!(answer, ServerFrame::Subscribed { .. }),
            "{answer:?}"
        );
    }
}

pub(crate) fn refused(answer: Result<Socket, WsError>) -> u16 {
    match answer {
        Err(WsError::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was let in"),
    }
}
