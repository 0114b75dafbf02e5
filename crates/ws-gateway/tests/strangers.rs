//! Clients that ask and do not read: what they cost, measured, and how it ends. One test, because it
//! measures the memory of its process.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use service_kit::http::{CONNECTIONS, Limits, Listener};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[path = "support/anomalies.rs"]
mod anomalies;
#[path = "support/gateway.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod gateway;

use gateway::{DEADLINE, Gateway, Settings};

const KEPT: i64 = 1000;
const PADDING: usize = 8 * 1024;
const CLIENTS: usize = 150;
/// A page for each of them would take 1.4 GB.
const MOST_GROWTH: usize = 100 << 20;

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

async fn ask(gateway: &Gateway, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Ends when the gateway has begun to answer, without taking anything.
async fn is_answered(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let peeked = tokio::time::timeout(DEADLINE, stream.peek(&mut byte)).await;
    matches!(peeked, Ok(Ok(1)))
}

/// Ends when nobody is connected, although nobody left.
async fn are_cut_off(gateway: &Gateway) {
    let open = gateway.registry.gauge(&CONNECTIONS);
    let wait = async {
        while open.at(Listener::Clients).get() > 0.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_take_little_and_are_cut_off() {
    let gateway = Gateway::start(Settings {
        most: 10_000,
        limits: Limits {
            connections: 10_000,
            per_address: 10_000,
            unsent_bytes: 32 << 20,
            within: Duration::from_secs(5),
        },
        ..Settings::default()
    })
    .await;
    for offset in 0..KEPT {
        gateway.publish(offset, PADDING);
    }
    let before = resident();
    for request in [
        "GET /api/v1/anomalies?limit=1000 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /api/v1/anomalies/stream?since=1.feed.0 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /ws/anomalies HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ] {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = ask(&gateway, request).await;
            if request.contains("/ws/") {
                // {"type":"subscribe","since":"1.feed.0"}, masked with zeros.
                let text = br#"{"type":"subscribe","since":"1.feed.0"}"#;
                let head = [0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
                client.write_all(&[&head[..], text].concat()).await.unwrap();
            }
            clients.push(client);
        }
        for (number, client) in clients.iter().enumerate() {
            assert!(is_answered(client).await, "{number}: {request}");
        }
        // Somebody who reads is served meanwhile, with all of it.
        let (status, _, page) = gateway.get("/api/v1/anomalies?limit=1000", "").await;
        assert_eq!((status, page.len() > KEPT as usize * PADDING), (200, true));
        let growth = resident().saturating_sub(before);
        assert!(growth < MOST_GROWTH, "{} MB more", growth >> 20);
        are_cut_off(&gateway).await;
        drop(clients);
    }
}
