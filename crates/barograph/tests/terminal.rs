//! `barograph tail` at a gateway that is not kind, and at a terminal that goes away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        http::HeaderValue,
    },
};

/// What a service wrote into the name of the service and into its message.
const SERVICE: &str = "evil\u{1b}]0;owned\u{7}";
const MESSAGE: &str = "\u{1b}[2J\u{1b}[1;1H\u{9b}31mFAKE \u{202e}abc";

fn barograph() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_barograph"));
    for name in ["BAROGRAPH_URL", "BAROGRAPH_STACK_DIR", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// A gateway that does with each connection what `serve` says; tells of each when it came.
async fn gateway<F>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<Instant>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (came, arrivals) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = came.send(Instant::now());
            tokio::spawn(serve(stream));
        }
    });
    (address, arrivals)
}

async fn shake_hands(stream: TcpStream) -> tokio_tungstenite::WebSocketStream<TcpStream> {
    #[allow(
        clippy::result_large_err,
        reason = "the callback's type is the library's"
    )]
    let agree = |_: &Request, mut response: Response| {
        let protocol = HeaderValue::from_static("barograph.v1");
        response
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocol);
        Ok(response)
    };
    accept_hdr_async(stream, agree).await.unwrap()
}

fn anomaly(number: u32) -> Value {
    let at = "2026-11-26T20:00:00.000Z";
    json!({
        "schema_version": 1,
        "id": format!("00000000-0000-5000-8000-{number:012x}"),
        "version": 1, "state": "opened", "detector": "error_burst", "kind": format!("error_burst{SERVICE}"),
        "service": SERVICE, "series": format!("{SERVICE}/errors"),
        "window_start": at, "window_end": at, "detected_at": at, "published_at": at,
        "severity": "high", "score": 4.2, "direction": "up", "unit": "errors",
        "observed": 12.0, "expected": 0.8, "lower": 0.0, "upper": 5.0,
        "title": format!("{SERVICE} has errors\nforged: line"),
        "explanation": { "summary": format!("12 of 14 lines of {SERVICE} are errors {MESSAGE}"), "baseline": "b", "parts": [] },
        "samples": [{ "timestamp": at, "level": "ERROR", "message": MESSAGE, "partition": 0, "offset": 1 }],
        "evidence": {
            "topic": "app-logs", "incarnation": "0123456789abcdef", "partition": 0,
            "first_offset": 1, "last_offset": 2,
        },
    })
}

/// Says hello, sends anomalies, and keeps the connection.
async fn kind(stream: TcpStream, anomalies: u32) {
    let mut socket = shake_hands(stream).await;
    let hello = json!({ "type": "hello", "cursor": "1.0", "server": "x", "version": "0" });
    let _ = socket.send(Message::text(hello.to_string())).await;
    for number in 0..anomalies {
        let frame = json!({ "type": "anomaly", "cursor": format!("1.{number}"), "anomaly": anomaly(number) });
        let _ = socket.send(Message::text(frame.to_string())).await;
    }
    while let Some(Ok(_)) = socket.next().await {}
}

fn tail(address: SocketAddr) -> Command {
    let mut command = barograph();
    command.args(["tail", "--url", &format!("http://{address}")]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_stranger_wrote_steers_the_terminal() {
    let (address, _arrivals) = gateway(|stream| kind(stream, 2)).await;
    for more in [&["--limit", "2"][..], &["--limit", "2", "--json"]] {
        let mut command = tail(address);
        command.args(more);
        let output = output(command).await;
        assert_eq!(output.status.code(), Some(0));
        let shown = String::from_utf8(output.stdout).unwrap();
        let steering = |c: char| strangers::steers(c) && c != '\n';
        assert!(!shown.chars().any(steering), "{shown:?}");
        if more.contains(&"--json") {
            assert_eq!(shown.lines().count(), 2);
            let read: Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
            assert_eq!(read["samples"][0]["message"], MESSAGE);
        } else {
            assert!(
                shown.contains(r"evil\u{1b}]0;owned\u{7} has errors\nforged: line"),
                "{shown}"
            );
            assert!(
                shown.contains(r"\u{1b}[2J\u{1b}[1;1H\u{9b}31mFAKE \u{202e}abc"),
                "{shown}"
            );
        }
    }
}

/// `tail | head -1`, and nothing comes any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_enough_ends_it() {
    let (address, _arrivals) = gateway(|stream| kind(stream, 1)).await;
    let mut command = tail(address);
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut first).unwrap();
        drop(reader);
        (first, child.wait().unwrap())
    });
    let (first, status) = ended.await.unwrap();
    assert!(first.contains("has errors"), "{first}");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_cannot_be_written_is_a_failure() {
    let (address, _arrivals) = gateway(|stream| kind(stream, 1)).await;
    for mut command in [tail(address), {
        let mut help = barograph();
        help.arg("--help");
        help
    }] {
        command.stdout(std::fs::File::create("/dev/full").unwrap());
        command.stderr(Stdio::piped());
        let output = output(command).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(74), "{said}");
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
}

/// Would catch thousands of attempts a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_closes_at_once_is_left_in_peace() {
    let (address, mut arrivals) = gateway(|stream| async move {
        let mut socket = shake_hands(stream).await;
        let _ = socket.close(None).await;
    })
    .await;
    let mut child = tail(address)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut came = Vec::new();
    for _ in 0..4 {
        came.push(arrivals.recv().await.unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // 250 ms, 500 ms and 1 s at least.
    let pauses: Vec<Duration> = came.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses[0] >= Duration::from_millis(240), "{pauses:?}");
    assert!(pauses[2] >= Duration::from_millis(990), "{pauses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_says_nothing_is_given_up() {
    let (address, mut arrivals) = gateway(|stream| async move {
        // Held open, never answered.
        let (mut reading, _writing) = stream.into_split();
        let _ = tokio::io::copy(&mut reading, &mut tokio::io::sink()).await;
    })
    .await;
    let mut child = tail(address)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _first = arrivals.recv().await.unwrap();
    let _second = arrivals.recv().await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(said.contains("does not answer within 10 s"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_is_an_error_at_once() {
    for wrong in [
        "127.0.0.1:8080",
        "nonsense",
        "ftp://h/",
        "http://",
        "http://h:port",
        "",
    ] {
        let mut command = barograph();
        command.args(["tail", "--url", wrong]);
        let output = output(command).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{wrong}: {said}");
        assert!(
            said.contains("expected http://HOST:PORT"),
            "{wrong}: {said}"
        );
    }
}

/// The path of some other server.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_gateway_is_an_error_at_once() {
    let (address, _arrivals) = gateway(|mut stream| async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(answer).await;
    })
    .await;
    let output = output(tail(address)).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("answers 404") && said.contains("no gateway is there"),
        "{said}"
    );
}
