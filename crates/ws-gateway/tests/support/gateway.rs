//! A gateway in this process, and clients for it.

use std::sync::Arc;
use std::time::Duration;

use clickhouse_store::{Client, Target};
use contracts::websocket::ServerFrame;
use futures::{SinkExt, StreamExt};
use service_kit::http::{Hosts, Limits, Listener, Server};
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
    pub(crate) registry: Registry,
}

#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) most: usize,
    pub(crate) queue: usize,
    pub(crate) timing: Timing,
    pub(crate) limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            most: 100,
            queue: 1024,
            timing: Timing::default(),
            limits: Limits {
                connections: 1000,
                per_address: 1000,
                unsent_bytes: 64 << 20,
                within: Duration::from_secs(20),
            },
        }
    }
}

impl Gateway {
    pub(crate) async fn start(settings: Settings) -> Self {
        let tasks = Tasks::detached();
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
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
                &clickhouse.unwrap(),
                4,
                DeadLetters::new(kafka, "x.dlq".to_owned()),
            ),
            allowed_origins: None,
            queue: settings.queue,
            timing: settings.timing,
            tasks: tasks.clone(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Server::new(
            Listener::Clients,
            router(app),
            Hosts::new(None, "GATEWAY_ALLOWED_HOSTS"),
            settings.limits,
            &registry,
        );
        let served = ws_gateway::server::serve(listener, server, clients, tasks.clone());
        tasks.spawn("server", served);
        Self {
            address,
            log,
            tasks,
            registry,
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

    /// Status, head and body of an answer. As HTTP/1.0, whose bodies come in one piece.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> (u16, String, String) {
        let host = &self.address;
        let request = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\n{headers}\r\n");
        self.send(&request).await
    }

    /// The same for a request as it stands, after which the connection is closed.
    pub(crate) async fn send(&self, request: &str) -> (u16, String, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
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

impl Gateway {
    /// Types of the first frames of the event stream.
    pub(crate) async fn events(&self, since: &str, headers: &str, count: usize) -> Vec<String> {
        use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
        let mut stream = BufReader::new(TcpStream::connect(&self.address).await.unwrap());
        let request = format!(
            "GET /api/v1/anomalies/stream?since={since} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = stream.lines();
        let mut types = Vec::new();
        while types.len() < count {
            let line = tokio::time::timeout(DEADLINE, lines.next_line()).await;
            let line = line.unwrap().unwrap().unwrap();
            if let Some(frame) = line.strip_prefix("data: ") {
                let frame: serde_json::Value = serde_json::from_str(frame).unwrap();
                types.push(frame["type"].as_str().unwrap().to_owned());
            }
        }
        types
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

    /// Bytes past the library.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt;
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    /// How the connection ends; `None`: without a close. 1005 stands for one without a code.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        while let Some(Ok(message)) = self.message().await {
            if let Message::Close(close) = message {
                return Some(close.map_or(1005, |close| close.code.into()));
            }
        }
        None
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
