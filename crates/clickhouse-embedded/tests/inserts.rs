//! What an insert may be sure of: one body is one block, tokens count once, half a body counts not.

#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

mod support;

use std::io::{Read, Write};

use support::{Server, eventually};

const TABLE: &str = "CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a \
    SETTINGS non_replicated_deduplication_window = 1000";

#[test]
fn rows_come_in_every_way() {
    let server = Server::start();
    server.post(TABLE).ok();
    server
        .post("INSERT INTO t VALUES (1, 'a;b'), (2, $$it's$$);")
        .ok();
    server.post("-- note\nINSERT INTO t (s, a)\nFORMAT JSONEachRow\n{\"a\":3,\"s\":\"x\"}\n{\"a\":4,\"s\":\"y\"}").ok();
    server
        .post_to("/?query=INSERT+INTO+t+FORMAT+CSV", "5,\"five\"\n6,six")
        .ok();
    server
        .post_to("/?query=INSERT+INTO+t+VALUES", "(7,'seven')")
        .ok();
    server
        .post_to("/?query=INSERT+INTO+t&default_format=TSV", "")
        .ok();
    server
        .post_to("/?query=INSERT+INTO+t", "FORMAT TSV\n8\teight\n")
        .ok();
    server
        .post("INSERT INTO t SELECT number + 9, 'n' FROM numbers(2)")
        .ok();
    server
        .post("INSERT INTO t SETTINGS max_threads = 1 FORMAT TSV\n11\televen\n")
        .ok();
    let answer = server.post("INSERT INTO t FORMAT TSV SETTINGS max_threads = 1\n12\ttwelve\n");
    assert_eq!(answer.ok(), "");
    assert!(
        answer
            .header("X-ClickHouse-Summary")
            .expect("has one")
            .contains("\"written_rows\":\"1\"")
    );
    assert_eq!(server.value("SELECT count(), sum(a) FROM t"), "12\t78");
    server
        .post("INSERT INTO t FORMAT JSONEachRow {\"a\":\"x\"}")
        .fails(400, 27);
    server
        .post("INSERT INTO t (nosuch) VALUES (1)")
        .fails(500, 16);
    server.post("INSERT INTO t FORMAT Nosuch\nx").fails(404, 73);
    assert_eq!(server.value("SELECT count() FROM t"), "12");
}

#[test]
fn the_same_body_with_the_same_token_counts_once_in_table_and_view() {
    let server = Server::start();
    server.post(TABLE).ok();
    server
        .post("CREATE TABLE sums (k UInt64, c UInt64) ENGINE = SummingMergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 1000")
        .ok();
    server.post("CREATE MATERIALIZED VIEW v TO sums AS SELECT a % 10 AS k, count() AS c FROM t GROUP BY k").ok();
    // 300 000 rows are five blocks of Native and have to become one of the table.
    let rows = server
        .post("SELECT number AS a, toString(number) AS s FROM numbers(300000) FORMAT Native")
        .body;
    let insert = |token: &str| {
        let address = format!(
            "/?query=INSERT+INTO+t+FORMAT+Native&insert_deduplication_token={token}\
             &deduplicate_blocks_in_dependent_materialized_views=1&async_insert=0"
        );
        server.post_to(&address, &rows).ok();
    };
    let counts = "SELECT (SELECT count() FROM t), (SELECT sum(c) FROM sums)";
    insert("one");
    assert_eq!(
        server.value("SELECT count() FROM system.parts WHERE table = 't' AND active"),
        "1"
    );
    insert("one");
    assert_eq!(server.value(counts), "300000\t300000");
    insert("two");
    assert_eq!(server.value(counts), "600000\t600000");
}

#[test]
fn a_body_that_breaks_off_inserts_nothing() {
    let server = Server::start();
    server.post(TABLE).ok();
    let rows = b"1\ta\n2\tb\n";
    let cases: [&[u8]; 4] = [
        b"Content-Length: 1000\r\n\r\n1\ta\n2\tb\n",
        b"Transfer-Encoding: chunked\r\n\r\n8\r\n1\ta\n2\tb\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n8\r\n1\ta\n2\tb\n\r\nnonsense\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nfff\r\n1\ta\n2\tb\n",
    ];
    for rest in cases {
        let mut stream = server.connect();
        stream
            .write_all(b"POST /?query=INSERT+INTO+t+FORMAT+TSV HTTP/1.1\r\nHost: x\r\n")
            .expect("sends");
        stream.write_all(rest).expect("sends");
        stream.shutdown(std::net::Shutdown::Write).expect("ends");
        // The server has let go of the request when it closes.
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        assert!(
            !String::from_utf8_lossy(&reply).starts_with("HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&reply)
        );
    }
    eventually("nothing runs", || {
        (server.value("SELECT count() FROM system.processes") == "1").then_some(())
    });
    assert_eq!(server.value("SELECT count() FROM t"), "0");
    server
        .post_to("/?query=INSERT+INTO+t+FORMAT+TSV", rows)
        .ok();
    assert_eq!(server.value("SELECT count() FROM t"), "2");
}

#[test]
fn a_body_past_the_gathering_limit_streams() {
    let server = Server::start();
    server
        .post("CREATE TABLE big (s String) ENGINE = MergeTree ORDER BY tuple()")
        .ok();
    let row = [b"x".repeat(999), b"\n".to_vec()].concat();
    let body = row.repeat(100_000);
    server
        .post_to("/?query=INSERT+INTO+big+FORMAT+TSV", &body)
        .ok();
    assert_eq!(
        server.value("SELECT count(), sum(length(s)) FROM big"),
        "100000\t99900000"
    );
    server.post_to("/?query=SELECT+1+--", &body).fails(413, 229);
    // Broken off past the limit, but before the engine's own block is full: nothing either.
    let mut stream = server.connect();
    let head = format!(
        "POST /?query=INSERT+INTO+big+FORMAT+TSV HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len() + 1
    );
    stream.write_all(head.as_bytes()).expect("sends");
    stream.write_all(&body).expect("sends");
    drop(stream);
    eventually("nothing runs", || {
        (server.value("SELECT count() FROM system.processes") == "1").then_some(())
    });
    assert_eq!(server.value("SELECT count() FROM big"), "100000");
}
