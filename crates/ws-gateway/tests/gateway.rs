//! The gateway over real sockets, fed by hand instead of by Kafka.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use contracts::rest::{AnomaliesPage, ApiError};
use contracts::websocket::ServerFrame;
use futures::SinkExt;
use service_kit::http::{CONNECTIONS, Listener};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use ws_gateway::app::Timing;

#[path = "support/anomalies.rs"]
mod anomalies;
#[path = "support/gateway.rs"]
mod gateway;

use gateway::{DEADLINE, Gateway, Settings, refused};

#[tokio::test]
async fn a_client_gets_what_comes_and_after_a_reconnect_what_it_missed() {
    let gateway = Gateway::start(Settings::default()).await;
    gateway.publish(0, 0);
    let mut client = gateway.connect().await;
    client.subscribe("null").await;
    gateway.publish(1, 0);
    let (id, cursor) = client.anomaly().await;
    assert_eq!((id, cursor.as_str()), (1, "1.feed.2"));
    drop(client);
    gateway.publish(2, 0);
    let mut client = gateway.connect_with(&[]).await.unwrap();
    client.subscribe(&format!("{cursor:?}")).await;
    gateway.publish(3, 0);
    assert_eq!((client.anomaly().await.0, client.anomaly().await.0), (2, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_delays_nobody_and_is_told_what_it_missed() {
    const COUNT: i64 = 120;
    let gateway = Gateway::start(Settings {
        queue: 4,
        ..Settings::default()
    })
    .await;
    let (mut slow, mut fast) = (gateway.connect().await, gateway.connect().await);
    slow.subscribe("null").await;
    fast.subscribe("null").await;
    // More than any socket buffer takes; one by one, each seen by who reads.
    for offset in 0..COUNT {
        gateway.publish(offset, 256 * 1024);
        assert_eq!(fast.anomaly().await.0, offset as u128);
    }
    let mut received = Vec::new();
    let mut lagged = 0;
    while received.len() < COUNT as usize {
        match slow.frame().await {
            ServerFrame::Anomaly { anomaly, .. } => received.push(anomaly.id.as_u128()),
            ServerFrame::Lagged { missed, cursor } => {
                assert!((1..=COUNT as u64 - received.len() as u64).contains(&missed));
                lagged += 1;
                slow.send(&format!(r#"{{"type":"subscribe","since":"{cursor}"}}"#))
                    .await;
                // What comes before it is answered comes again.
                while !matches!(slow.frame().await, ServerFrame::Subscribed { .. }) {}
            }
            ServerFrame::Ping { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(lagged > 0);
    let open = gateway.registry.gauge(&CONNECTIONS);
    assert_eq!(open.at(Listener::Clients).get(), 2.0, "nobody was cut off");
    assert_eq!(received, (0..COUNT as u128).collect::<Vec<_>>());
}

#[tokio::test]
async fn bad_frames_are_answered_until_there_are_too_many() {
    let gateway = Gateway::start(Settings::default()).await;
    let mut client = gateway.connect().await;
    client.frame().await;
    for _ in 0..16 {
        client.send("{").await;
        let ServerFrame::Error { code, .. } = client.frame().await else {
            panic!()
        };
        assert_eq!(code, "bad_json");
    }
    client.send("{").await;
    let Some(Ok(Message::Close(Some(close)))) = client.message().await else {
        panic!()
    };
    assert_eq!(u16::from(close.code), 1008);

    let mut client = gateway.connect().await;
    client.frame().await;
    client.send(&" ".repeat(70_000)).await;
    let ended = client.message().await;
    assert!(!matches!(ended, Some(Ok(Message::Text(_)))), "{ended:?}");
}

/// Would catch codes that do not say whose fault it is, and ends without a code.
#[tokio::test]
async fn a_close_says_why() {
    let gateway = Gateway::start(Settings::default()).await;
    for (message, code) in [
        (Message::Binary(vec![1, 2, 3].into()), 1003),
        (Message::Text(" ".repeat(66_000).into()), 1009),
    ] {
        let mut client = gateway.connect().await;
        client.frame().await;
        client.0.send(message).await.unwrap();
        assert_eq!(client.close_code().await, Some(code));
    }
    // A text that is none, and a bit that nobody agreed on: by hand, as no client sends them.
    for (bytes, code) in [
        (&[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28][..], 1007),
        (&[0xf1, 0x80, 0, 0, 0, 0], 1002),
    ] {
        let mut client = gateway.connect().await;
        client.frame().await;
        client.raw(bytes).await;
        assert_eq!(client.close_code().await, Some(code));
    }
    // Whoever says that it goes is answered.
    let mut client = gateway.connect().await;
    client.frame().await;
    client.0.close(None).await.unwrap();
    assert_eq!(
        client.close_code().await,
        Some(1005),
        "as it was said: without a code"
    );
}

#[tokio::test]
async fn a_filter_is_read_as_rest_reads_it_and_what_is_wrong_is_named() {
    let gateway = Gateway::start(Settings::default()).await;
    let mut client = gateway.connect().await;
    client.frame().await;
    for filter in [
        r#"{"min_severity":"CRITICAL"}"#,
        r#"{"min_severity":"High","services":"checkout, search"}"#,
        r#"{"service":["checkout"],"kind":"RATE_SPIKE","text":null}"#,
    ] {
        client
            .send(&format!(r#"{{"type":"subscribe","filter":{filter}}}"#))
            .await;
        let answer = client.frame().await;
        assert!(
            matches!(answer, ServerFrame::Subscribed { .. }),
            "{answer:?}"
        );
    }
    gateway.publish(0, 0);
    assert_eq!(client.anomaly().await.0, 0);
    for (frame, code, says) in [
        (
            r#"{"type":"subscribe","filter":{"min_severity":"nope"}}"#,
            "unknown_severity",
            "filter.min_severity: expected low, medium, high or critical",
        ),
        (
            r#"{"type":"subscribe","filter":{"severities":["high"]}}"#,
            "bad_frame",
            "filter.severities: not known here; there are services, kinds, min_severity, text",
        ),
        (
            r#"{"type":"subscribe","since":5}"#,
            "bad_frame",
            "since: expected the cursor",
        ),
        (
            r#"{"type":"subscribe","since":"x"}"#,
            "bad_cursor",
            "since: not a cursor",
        ),
    ] {
        client.send(frame).await;
        let ServerFrame::Error {
            code: found,
            message,
        } = client.frame().await
        else {
            panic!("{frame}")
        };
        assert_eq!(found, code, "{frame}");
        assert!(message.starts_with(says), "{frame}: {message}");
    }
}

#[tokio::test]
async fn a_cursor_past_the_end_is_gone_over_both_transports() {
    let gateway = Gateway::start(Settings::default()).await;
    gateway.publish(0, 0);
    // In place of the reader, which looks at Kafka.
    let log = std::sync::Arc::clone(&gateway.log);
    tokio::spawn(async move {
        loop {
            log.doubted().await;
            log.change(|log| {
                let look = log.look();
                log.looked(look, Some(vec![1]));
            });
        }
    });
    for since in [
        "1.feed.2",
        "1.feed.9223372036854775807",
        "1.feed.1.1",
        "2.feed.1",
    ] {
        let mut client = gateway.connect().await;
        client.frame().await;
        client
            .send(&format!(r#"{{"type":"subscribe","since":"{since}"}}"#))
            .await;
        let first = client.frame().await;
        assert!(
            matches!(first, ServerFrame::Gone { missed: None }),
            "{since}: {first:?}"
        );
        let second = client.frame().await;
        assert!(
            matches!(second, ServerFrame::Subscribed { .. }),
            "{since}: {second:?}"
        );
        assert_eq!(
            client.anomaly().await,
            (0, "1.feed.1".to_owned()),
            "the stream goes on"
        );
        for headers in [
            "",
            "last-event-id: 1.feed.77\r\n",
            "last-event-id: junk\r\n",
        ] {
            let events = gateway.events(since, headers, 4).await;
            assert_eq!(
                events,
                ["hello", "gone", "subscribed", "anomaly"],
                "{since} {headers}"
            );
        }
    }
}

#[tokio::test]
async fn clients_are_told_when_the_gateway_goes() {
    let gateway = Gateway::start(Settings::default()).await;
    let mut client = gateway.connect().await;
    client.subscribe("null").await;
    gateway.tasks.shutdown();
    let Some(Ok(Message::Close(Some(close)))) = client.message().await else {
        panic!()
    };
    assert_eq!(
        (u16::from(close.code), close.reason.as_str()),
        (1001, "going away")
    );
    // The answer to the close goes out with the next read.
    while client.message().await.is_some() {}
    tokio::time::timeout(DEADLINE, gateway.tasks.idle())
        .await
        .unwrap();
    assert_eq!(gateway.tasks.failure(), None);
}

#[tokio::test]
async fn a_silent_connection_is_given_up_and_a_ping_carries_the_cursor() {
    let timing = Timing {
        ping_every: Duration::from_millis(50),
        silent_for: Duration::from_millis(400),
        ..Timing::default()
    };
    let gateway = Gateway::start(Settings {
        timing,
        ..Settings::default()
    })
    .await;
    let mut client = gateway.connect().await;
    client.subscribe("null").await;
    let frame = client.frame().await;
    assert!(
        matches!(&frame, ServerFrame::Ping { cursor: Some(cursor) } if cursor == "1.feed.0"),
        "{frame:?}"
    );
    // A plain stream answers nothing by itself.
    let stream = client.0.get_mut();
    let ended = async {
        use tokio::io::AsyncReadExt;
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    tokio::time::timeout(DEADLINE, ended).await.unwrap();
}

#[tokio::test]
async fn strangers_pages_and_one_client_too_many_are_refused() {
    let gateway = Gateway::start(Settings {
        most: 1,
        ..Settings::default()
    })
    .await;
    let stranger = gateway
        .connect_with(&[("origin", "https://evil.example")])
        .await;
    assert_eq!(refused(stranger), 403);
    let own = format!("http://{}", gateway.address);
    let first = gateway.connect_with(&[("origin", &own)]).await.unwrap();
    assert_eq!(refused(gateway.connect_with(&[]).await), 503);
    drop(first);
}

/// Would catch DNS rebinding: a page whose name was given our address.
#[tokio::test]
async fn who_asks_for_another_host_reaches_nothing() {
    let gateway = Gateway::start(Settings::default()).await;
    gateway.publish(0, 0);
    let rebound = [("host", "evil.example"), ("origin", "http://evil.example")];
    assert_eq!(refused(gateway.connect_with(&rebound).await), 421);
    for path in [
        "/",
        "/api/v1/anomalies",
        "/api/v1/anomalies/stream",
        "/api/v1/volume",
        "/ws/anomalies",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: Evil.Example:80\r\nx-forwarded-host: localhost\r\nconnection: close\r\n\r\n"
        );
        let (status, _, body) = gateway.send(&request).await;
        let error: ApiError = serde_json::from_str(&body).unwrap();
        assert_eq!((status, error.code.as_str()), (421, "host_not_allowed"));
        assert!(error.message.contains("GATEWAY_ALLOWED_HOSTS"), "{body}");
    }
    let page = "GET /api/v1/anomalies HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\nconnection: close\r\n\r\n";
    let (status, _, body) = gateway.send(page).await;
    assert_eq!(status, 403);
    assert!(body.contains("GATEWAY_ALLOWED_ORIGINS"), "{body}");
    // Without a name, as old programs ask; with ours, as proxies may.
    for request in [
        "GET /api/v1/anomalies HTTP/1.0\r\n\r\n",
        "GET http://localhost./api/v1/anomalies HTTP/1.1\r\nhost: LOCALHOST:1\r\nconnection: close\r\n\r\n",
    ] {
        assert_eq!(gateway.send(request).await.0, 200, "{request}");
    }
}

#[tokio::test]
async fn the_event_stream_goes_on_after_the_last_event_id() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let gateway = Gateway::start(Settings::default()).await;
    for offset in 0..3 {
        gateway.publish(offset, 0);
    }
    let mut stream = BufReader::new(TcpStream::connect(&gateway.address).await.unwrap());
    let request = "GET /api/v1/anomalies/stream?since=1.feed.0&kinds=rate_spike HTTP/1.1\r\n\
                   host: localhost\r\nlast-event-id: 1.feed.1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = stream.lines();
    let mut ids = Vec::new();
    while ids.len() < 3 {
        let line = tokio::time::timeout(DEADLINE, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        if let Some(id) = line.strip_prefix("id: ") {
            ids.push(id.to_owned());
        }
    }
    assert_eq!(
        ids,
        ["1.feed.1", "1.feed.2", "1.feed.3"],
        "subscribed, then what came after"
    );
}

#[tokio::test]
async fn pages_list_the_latest_first_and_bad_parameters_are_explained() {
    let gateway = Gateway::start(Settings::default()).await;
    for offset in 0..5 {
        gateway.publish(offset, 0);
    }
    let page = async |path: &str| {
        let (status, _, body) = gateway.get(path, "").await;
        assert_eq!(status, 200, "{body}");
        let page: AnomaliesPage = serde_json::from_str(&body).unwrap();
        let ids = page
            .anomalies
            .iter()
            .map(|anomaly| anomaly.id.as_u128())
            .collect::<Vec<_>>();
        (ids, page.cursor)
    };
    assert_eq!(
        page("/api/v1/anomalies?limit=2").await,
        (vec![4, 3], "1.feed.5".to_owned())
    );
    let before = uuid::Uuid::from_u128(3);
    assert_eq!(
        page(&format!("/api/v1/anomalies?limit=2&before={before}"))
            .await
            .0,
        [2, 1]
    );
    assert_eq!(page("/api/v1/anomalies?min_severity=critical").await.0, []);
    assert_eq!(
        page("/api/v1/anomalies?state=opened&service=checkout")
            .await
            .0
            .len(),
        5
    );
    for (path, status, code, says) in [
        (
            "/api/v1/anomalies?limit=0",
            400,
            "bad_parameter",
            "1 to 1000",
        ),
        (
            "/api/v1/anomalies?limit=x",
            400,
            "bad_parameter",
            "1 to 1000",
        ),
        (
            "/api/v1/anomalies?severity=high",
            400,
            "bad_parameter",
            "there are services, kinds, min_severity, text, limit, state, before",
        ),
        (
            "/api/v1/anomalies?min_severity=bad",
            400,
            "bad_parameter",
            "low, medium, high or critical",
        ),
        (
            "/api/v1/anomalies?state=done",
            400,
            "bad_parameter",
            "opened, updated or closed",
        ),
        (
            "/api/v1/anomalies?before=x",
            400,
            "bad_parameter",
            "id of an anomaly",
        ),
        ("/api/v1/anomalies/x", 400, "bad_parameter", "UUID"),
        (
            "/api/v1/anomalies/00000000-0000-0000-0000-0000000000ff",
            404,
            "not_found",
            "kept",
        ),
        (
            "/api/v1/anomalies/stream?since=x",
            400,
            "bad_cursor",
            "cursor",
        ),
        (
            "/api/v1/volume?minutes=20000",
            400,
            "bad_parameter",
            "1 to 10080",
        ),
        (
            "/api/v1/volume",
            503,
            "clickhouse_unavailable",
            "ClickHouse",
        ),
        ("/api/v1/nothing", 404, "not_found", "resource"),
    ] {
        let (found, head, body) = gateway.get(path, "").await;
        let error: ApiError = serde_json::from_str(&body).unwrap();
        assert_eq!((found, error.code.as_str()), (status, code), "{path}");
        assert!(error.message.contains(says), "{path}: {}", error.message);
        assert_eq!(head.contains("retry-after"), status == 503, "{path}");
    }
}

#[tokio::test]
async fn routes_of_the_dashboard_get_its_page_and_missing_files_do_not() {
    let gateway = Gateway::start(Settings::default()).await;
    let (status, head, page) = gateway.get("/", "").await;
    assert_eq!(status, 200);
    for header in [
        "text/html",
        "default-src 'self'",
        "nosniff",
        "referrer-policy",
        "no-cache",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    let (status, _, route) = gateway.get("/some/route", "").await;
    assert_eq!((status, route), (200, page));
    assert_eq!(gateway.get("/assets/missing.js", "").await.0, 404);
    let etag = head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap();
    let again = gateway
        .get("/", &format!("if-none-match: {etag}\r\n"))
        .await;
    assert_eq!((again.0, again.2.as_str()), (304, ""));
}
