//! Results stream, clients that go away stop their queries, and queries do not wait for each other.

#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use support::{Server, eventually, unchunk};

fn ask(server: &Server, query: &str, address: &str) -> TcpStream {
    let mut stream = server.connect();
    let head = format!(
        "POST {address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{query}",
        query.len()
    );
    stream.write_all(head.as_bytes()).expect("sends");
    stream
}

fn running(server: &Server, comment: &str) -> bool {
    server.value(&format!(
        "SELECT count() FROM system.processes WHERE Settings['log_comment'] = '{comment}'"
    )) == "1"
}

const ENDLESS: &str = "SELECT number FROM numbers(1000000000000)";
const SILENT: &str =
    "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))";

#[test]
fn an_endless_result_begins_at_once_and_stops_with_its_client() {
    let server = Server::start();
    for format in ["TabSeparated", "RowBinaryWithNamesAndTypes", "Native"] {
        let mut stream = ask(
            &server,
            &format!("{ENDLESS} FORMAT {format}"),
            "/?query_id=endless",
        );
        let mut first = [0; 4096];
        stream
            .read_exact(&mut first)
            .expect("the first bytes arrive");
        assert!(first.starts_with(b"HTTP/1.1 200 OK"));
        assert!(running(&server, "endless"));
        drop(stream);
        eventually("the query is gone", || {
            (!running(&server, "endless")).then_some(())
        });
    }
}

#[test]
fn a_query_that_says_nothing_stops_with_its_client() {
    let server = Server::start();
    for (query, id) in [
        (SILENT.to_owned(), "streamed"),
        (format!("{SILENT} FORMAT JSON"), "whole"),
    ] {
        let stream = ask(&server, &query, &format!("/?query_id={id}"));
        eventually("the query runs", || running(&server, id).then_some(()));
        drop(stream);
        eventually("the query is gone", || {
            (!running(&server, id)).then_some(())
        });
    }
}

#[test]
fn a_query_can_be_killed_by_the_id_its_client_gave() {
    let server = Server::start();
    let mut stream = ask(&server, SILENT, "/?query_id=victim");
    eventually("the query runs", || {
        running(&server, "victim").then_some(())
    });
    server
        .post_to("/?query_id=victim", "SELECT 1")
        .fails(500, 216);
    server
        .post("KILL QUERY WHERE query_id = 'victim' ASYNC")
        .ok();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("is answered");
    assert!(reply.contains("Code: 394."), "{reply}");
}

#[test]
fn a_long_query_does_not_block_a_short_one() {
    let server = Server::with(&["--connections", "2"]);
    let long = ask(&server, SILENT, "/?query_id=long");
    eventually("the query runs", || running(&server, "long").then_some(()));
    assert_eq!(server.value("SELECT 1"), "1");
    assert!(running(&server, "long"));
    drop(long);
}

#[test]
fn past_the_bound_of_the_queue_requests_are_refused() {
    let server = Server::with(&["--connections", "1"]);
    let mut held: Vec<TcpStream> = (0..80).map(|_| ask(&server, SILENT, "/")).collect();
    // One runs and 64 wait; the others are answered while those still wait.
    let refused = eventually("a request is refused", || {
        held.iter_mut().find_map(|stream| {
            stream.set_nonblocking(true).expect("can be set");
            let mut reply = vec![0; 2048];
            let size = stream.read(&mut reply).ok()?;
            Some(String::from_utf8_lossy(&reply[..size]).into_owned())
        })
    });
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(
        refused.contains("Code: 202.") && refused.to_lowercase().contains("retry-after"),
        "{refused}"
    );
    drop(held);
    assert_eq!(server.value("SELECT 1"), "1");
}

#[test]
fn a_late_exception_is_in_the_body_and_breaks_the_connection() {
    let server = Server::start();
    let query = "SELECT number, throwIf(number = 5000000) FROM numbers(10000000) SETTINGS max_block_size = 65536";
    let mut stream = ask(&server, query, "/");
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    let split = reply
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("has a head")
        + 4;
    let head = String::from_utf8_lossy(&reply[..split]).into_owned();
    let tag = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("x-clickhouse-exception-tag: ")
            .map(str::to_owned)
    });
    let tag = tag.expect("announces its tag");
    let (body, ended) = unchunk(&reply[split..]);
    assert!(head.starts_with("HTTP/1.1 200") && !ended);
    let tail = String::from_utf8_lossy(&body[body.len() - 600..]).into_owned();
    assert!(
        tail.contains(&format!(
            "__exception__\r\n{tag}\r\nCode: 395. DB::Exception: "
        )),
        "{tail}"
    );
    assert!(
        tail.ends_with(&format!(" {tag}\r\n__exception__\r\n")),
        "{tail}"
    );
}

#[test]
fn with_wait_end_of_query_a_late_exception_is_a_clean_error() {
    let server = Server::start();
    let query = "SELECT number, throwIf(number = 5000000) FROM numbers(10000000) SETTINGS max_block_size = 65536";
    server
        .post_to("/?wait_end_of_query=1", query)
        .fails(500, 395);
}

#[test]
fn streamed_results_are_the_bytes_of_whole_ones() {
    let server = Server::start();
    let query = "SELECT number AS `a b`, toString(number) AS s, [number] AS c FROM numbers(200000)";
    // `extremes` makes the front ask for the whole result; it adds nothing to these formats' rows
    // when it is 0.
    for format in [
        "TabSeparated",
        "TSVRaw",
        "TSKV",
        "CSV",
        "JSONEachRow",
        "JSONCompactEachRow",
        "Native",
        "RowBinary",
        "MsgPack",
        "TabSeparatedWithNames",
        "TSVWithNamesAndTypes",
        "JSONCompactEachRowWithNamesAndTypes",
        "RowBinaryWithNames",
        "RowBinaryWithNamesAndTypes",
    ] {
        let ask = |address: &str| server.post_to(address, format!("{query} FORMAT {format}"));
        let streamed = ask("/?max_threads=1");
        assert_eq!(
            streamed.header("Transfer-Encoding").as_deref(),
            Some("chunked"),
            "{format}"
        );
        let whole = ask("/?max_threads=1&extremes=0&wait_end_of_query=1");
        assert!(streamed.body == whole.body, "{format}");
        let empty = server
            .post(&format!("SELECT 1 AS a WHERE 0 FORMAT {format}"))
            .body;
        let empty_whole = server
            .post_to(
                "/?extremes=0",
                format!("SELECT 1 AS a WHERE 0 FORMAT {format}"),
            )
            .body;
        assert!(empty == empty_whole, "{format} without rows");
    }
    let json = server.post(&format!("{query} FORMAT JSON")).ok();
    assert!(json.starts_with("{\n\t\"meta\"") && json.contains("\"rows\": 200000"));
}
