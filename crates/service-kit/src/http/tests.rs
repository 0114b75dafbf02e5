//! The server, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::paced::{Paced, Unsent};
use super::places::Places;
use super::{DROPPED, Dropped, Hosts, Limits, Listener, REFUSED, Refused, Server};
use crate::Registry;

const DEADLINE: Duration = Duration::from_secs(30);
/// Long enough for a machine under load, short enough for a test that has to wait for its end.
const WITHIN: Duration = Duration::from_millis(1500);

const LIMITS: Limits = Limits {
    connections: 100,
    per_address: 100,
    unsent_bytes: 4 << 20,
    within: WITHIN,
};

async fn serve(router: Router, limits: Limits) -> (SocketAddr, Registry) {
    let registry = Registry::new();
    let hosts = Hosts::new(None, "ADMIN_ALLOWED_HOSTS");
    let server = Server::new(Listener::Admin, router, hosts, limits, &registry);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server.serve(listener, None));
    (address, registry)
}

fn live() -> Router {
    Router::new().route("/live", get(async || "live\n"))
}

async fn send(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Everything up to the end, which must come; a connection that is reset has ended, too.
async fn rest_of(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(address: SocketAddr) -> String {
    let request = "GET /live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    rest_of(send(address, request).await).await
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap();
}

#[tokio::test]
async fn connections_past_the_limit_are_told_and_places_become_free_again() {
    let limits = Limits {
        connections: 3,
        within: DEADLINE * 10,
        ..LIMITS
    };
    let (address, registry) = serve(live(), limits).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        // A half request takes a place as a whole one does.
        open.push(send(address, "GET /live HTTP/1.1\r\n").await);
    }
    let refused = ask(address).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("retry-after: 5"), "{refused}");
    assert!(refused.contains("too_many_connections"), "{refused}");
    assert_eq!(registry.counter(&REFUSED).at(Refused::Full).get(), 1);
    drop(open.pop());
    let answered = async { while !ask(address).await.starts_with("HTTP/1.1 200 ") {} };
    tokio::time::timeout(DEADLINE, answered).await.unwrap();
}

#[tokio::test]
async fn who_says_nothing_or_only_half_is_hung_up_on() {
    let (address, _) = serve(live(), LIMITS).await;
    let silent = send(address, "").await;
    let half = send(address, "GET /live HTTP/1.1\r\nhost: localhost\r\n").await;
    let idle = send(address, "GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    // A byte now and then gains no time.
    let mut slow = send(address, "GET /live HTTP/1.1\r\n").await;
    let drip = async {
        while slow.write_all(b"a").await.is_ok() {
            tokio::time::sleep(WITHIN / 20).await;
        }
    };
    tokio::time::timeout(DEADLINE, drip).await.unwrap();
    rest_of(silent).await;
    rest_of(half).await;
    assert!(rest_of(idle).await.ends_with("live\n"));
}

#[tokio::test]
async fn a_request_for_another_host_or_with_a_large_body_reaches_no_route() {
    let reached = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&reached);
    let count = async move || {
        seen.fetch_add(1, Ordering::SeqCst);
        "reached\n"
    };
    let router = Router::new().route("/", get(count.clone()).merge(post(count)));
    let (address, registry) = serve(router, LIMITS).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        (
            "GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "421",
        ),
        (
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\n",
            "413",
        ),
    ] {
        let answer = rest_of(send(address, request).await).await;
        assert_eq!(answer.get(9..12), Some(status), "{request}: {answer}");
    }
    assert_eq!(registry.counter(&REFUSED).at(Refused::Host).get(), 3);
    assert_eq!(reached.load(Ordering::SeqCst), 0);
    let ours = rest_of(send(address, "GET / HTTP/1.0\r\n\r\n").await).await;
    assert!(ours.ends_with("reached\n"), "{ours}");
}

/// A body without an end, which is made as it is taken.
fn endless() -> Router {
    let body = async || {
        let chunk = Bytes::from_static(&[b'x'; 16 * 1024]);
        let chunks = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
        Body::from_stream(chunks)
    };
    live().route("/endless", get(body))
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_and_the_others_are_served() {
    let (address, registry) = serve(endless(), LIMITS).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let request = "GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n";
        clients.push(send(address, request).await);
    }
    assert!(ask(address).await.ends_with("live\n"));
    let dropped = registry.counter(&DROPPED);
    until(|| dropped.at(Dropped::Stalled).get() == 20).await;
    for client in clients {
        rest_of(client).await;
    }
}

#[tokio::test]
async fn who_takes_all_the_time_is_not_cut_off() {
    let (address, registry) = serve(endless(), LIMITS).await;
    let request = "GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut client = send(address, request).await;
    let mut buffer = vec![0; 64 * 1024];
    let began = tokio::time::Instant::now();
    while began.elapsed() < WITHIN * 2 {
        let read = client.read(&mut buffer);
        assert!(tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap() > 0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(registry.counter(&DROPPED).at(Dropped::Stalled).get(), 0);
}

/// Past the bound those go for whom most waits, and the sum stays below twice the bound. Each offers
/// half of the bound again and again, whole: how much the kernel takes before decides nothing.
#[tokio::test]
async fn what_waits_over_all_connections_is_bounded() {
    const MOST: usize = 1 << 20;
    const CLIENTS: usize = 12;
    const ROOM: usize = 2;
    let metrics = super::metrics::Metrics::new(&Registry::new());
    let unsent = Arc::new(Unsent::new(MOST, DEADLINE, metrics.clone()));
    let places = Places::new(100, 100, Listener::Clients, metrics.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let large = Arc::new(vec![0; MOST / ROOM]);
    let mut others = Vec::new();
    let mut writers = Vec::new();
    for _ in 0..CLIENTS {
        others.push(TcpStream::connect(address).await.unwrap());
        let (stream, from) = listener.accept().await.unwrap();
        let place = places.take(from.ip()).unwrap();
        let mut paced = Paced::new(stream, Arc::clone(&unsent), place);
        let large = Arc::clone(&large);
        writers.push(tokio::spawn(async move {
            while paced.write(&large).await.is_ok() {}
        }));
    }
    let dropped = || metrics.dropped.at(Dropped::Unsent).get();
    until(|| dropped() == (CLIENTS - ROOM) as u64 && unsent.bytes() == MOST).await;
    for writer in &writers {
        writer.abort();
    }
    until(|| places.all() == 0).await;
    assert_eq!(unsent.bytes(), 0);
}
