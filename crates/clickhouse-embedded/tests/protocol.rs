//! ClickHouse's HTTP protocol as clients use it.

#![allow(clippy::expect_used, reason = "in tests a panic is the report")]

mod support;

use support::Server;

#[test]
fn health_checks_need_no_login() {
    let server = Server::with(&["--password", "secret"]);
    for path in ["/", "/ping", "/replicas_status"] {
        assert_eq!(
            server.request("GET", path, &[], b"").ok(),
            "Ok.\n",
            "{path}"
        );
    }
    assert_eq!(server.request("GET", "/nowhere", &[], b"").status, 404);
}

#[test]
fn every_way_to_log_in() {
    let server = Server::with(&["--user", "reader", "--password", "secret"]);
    let get =
        |address: &str, headers: &[(&str, &str)]| server.request("GET", address, headers, b"");
    let refused = get("/?query=SELECT+1&user=default", &[]);
    let text = refused.fails(401, 516);
    assert!(text.starts_with(
        "Code: 516. DB::Exception: default: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"
    ));
    assert!(refused.header("WWW-Authenticate").is_some());
    get("/?query=SELECT+1&user=reader&password=wrong", &[]).fails(401, 516);
    get("/?query=SELECT+1", &[("X-ClickHouse-User", "reader")]).fails(401, 516);
    get("/?query=SELECT+1&user=reader&password=secret", &[]).ok();
    get(
        "/?query=SELECT+1",
        &[
            ("X-ClickHouse-User", "reader"),
            ("X-ClickHouse-Key", "secret"),
        ],
    )
    .ok();
    get(
        "/?query=SELECT+1",
        &[("Authorization", "Basic cmVhZGVyOnNlY3JldA==")],
    )
    .ok();
}

#[test]
fn query_and_body_are_one_text() {
    let server = Server::start();
    assert_eq!(
        server.request("GET", "/?query=SELECT+1", &[], b"").ok(),
        "1\n"
    );
    assert_eq!(server.post("SELECT 2").ok(), "2\n");
    assert_eq!(server.post_to("/?query=SELECT", "3 -- three").ok(), "3\n");
    assert_eq!(
        server.post("\n/* a;b */ SELECT 'x;y'\n; -- end\n").ok(),
        "x;y\n"
    );
    server.post("SELECT 1; SELECT 2").fails(400, 62);
    server.post("").fails(400, 62);
}

#[test]
fn headers_tell_what_clients_ask_for() {
    let server = Server::start();
    let answer = server.post_to(
        "/?query_id=my-id&default_format=JSON",
        "SELECT number FROM numbers(10)",
    );
    answer.ok();
    assert_eq!(
        answer.header("X-ClickHouse-Query-Id").as_deref(),
        Some("my-id")
    );
    assert_eq!(
        answer.header("X-ClickHouse-Format").as_deref(),
        Some("JSON")
    );
    assert_eq!(
        answer.header("Content-Type").as_deref(),
        Some("application/json; charset=UTF-8")
    );
    assert_eq!(
        answer.header("X-ClickHouse-Timezone"),
        Some(server.value("SELECT timezone()"))
    );
    assert!(answer.header("X-ClickHouse-Server-Display-Name").is_some());
    let summary = answer
        .header("X-ClickHouse-Summary")
        .expect("has a summary");
    assert!(
        summary.contains("\"read_rows\":\"10\"") && summary.contains("\"result_rows\":\"10\""),
        "{summary}"
    );
    let csv = server.request(
        "POST",
        "/",
        &[("X-ClickHouse-Format", "CSV")],
        b"SELECT 'a'",
    );
    assert_eq!(
        (
            csv.ok().as_str(),
            csv.header("X-ClickHouse-Format").as_deref()
        ),
        ("\"a\"\n", Some("CSV"))
    );
    assert_eq!(
        server
            .post("SELECT 1 FORMAT Native")
            .header("Content-Type")
            .as_deref(),
        Some("application/octet-stream")
    );
}

#[test]
fn exceptions_have_code_status_and_version() {
    let server = Server::start();
    for (text, status, code) in [
        ("SELEC 1", 400, 62),
        ("exit", 400, 62),
        ("\\l", 400, 62),
        ("SELECT * FROM nosuch", 404, 60),
        ("SELECT nosuch(1)", 404, 46),
        ("SELECT nosuch", 404, 47),
        ("SELECT * FROM nosuch.t", 404, 81),
        ("SELECT 1 FORMAT Nosuch", 404, 73),
        ("SELECT 1 SETTINGS nosuch = 1", 404, 115),
        ("SELECT throwIf(1)", 500, 395),
        (
            "SELECT sleep(2) SETTINGS max_execution_time = 0.2",
            408,
            159,
        ),
        ("SELECT 1 INTO OUTFILE 'x'", 500, 358),
        ("INSERT INTO nosuch VALUES (1)", 404, 60),
    ] {
        let body = server.post(text).fails(status, code);
        assert!(
            body.trim_end()
                .ends_with(&format!("(version {})", server.value("SELECT version()"))),
            "{body}"
        );
        assert_eq!(body.matches("(version ").count(), 1, "{body}");
    }
}

#[test]
fn get_changes_nothing() {
    let server = Server::start();
    let get = |query: &str| server.request("GET", &format!("/?query={query}"), &[], b"");
    get("CREATE+TABLE+t+(a+Int8)+ENGINE=Memory").fails(500, 164);
    server.post("CREATE TABLE t (a Int8) ENGINE = Memory").ok();
    get("INSERT+INTO+t+VALUES+(1)").fails(500, 164);
    get("INSERT+INTO+t+SELECT+1").fails(500, 164);
    server
        .request("GET", "/?session_id=s&query=DROP+TABLE+t", &[], b"")
        .fails(500, 164);
    assert_eq!(server.value("SELECT count() FROM t"), "0");
    assert_eq!(get("SELECT+1+SETTINGS+max_threads=1").ok(), "1\n");
}

#[test]
fn settings_apply_to_one_query_and_never_leak() {
    let server = Server::with(&["--connections", "1"]);
    let setting = "SELECT getSetting('max_threads'), getSetting('readonly'), currentDatabase()";
    let before = server.value(setting);
    server.post("CREATE DATABASE other").ok();
    let answer = server.post_to("/?max_threads=7&readonly=2&database=other", setting);
    assert_eq!(answer.ok(), "7\t2\tother\n");
    assert_eq!(server.value(setting), before);
    server
        .post_to("/?max_threads=7&nosuch=1", setting)
        .fails(404, 115);
    server.post_to("/?max_threads=many", setting).fails(400, 27);
    server.post("SET max_threads = 9").ok();
    server.post("USE other").ok();
    server
        .post("CREATE TEMPORARY TABLE temporary (a Int8)")
        .ok();
    assert_eq!(server.value(setting), before);
    server.post("SELECT * FROM temporary").fails(404, 60);
    server
        .post_to(
            "/?max_result_rows=5&result_overflow_mode=throw",
            "SELECT number FROM numbers(10)",
        )
        .fails(500, 396);
    server
        .post_to("/?database=nosuch", "SELECT 1")
        .fails(404, 81);
    server
        .post_to("/?max_threads%3D1,readonly=1", "SELECT 1")
        .fails(404, 115);
}

#[test]
fn a_session_keeps_what_its_statements_set_only() {
    let server = Server::start();
    let ask = |address: &str, text: &str| server.post_to(address, text);
    server.post("CREATE DATABASE other").ok();
    ask("/?session_id=s&session_check=1", "SELECT 1").fails(500, 372);
    ask("/?session_id=s", "CREATE TEMPORARY TABLE kept (a Int8)").ok();
    ask("/?session_id=s", "INSERT INTO kept VALUES (1), (2)").ok();
    ask("/?session_id=s", "SET max_threads = 5").ok();
    let question = "SELECT sum(a), getSetting('max_threads'), currentDatabase() FROM kept";
    assert_eq!(
        ask(
            "/?session_id=s&session_check=1&max_threads=3&database=other",
            question
        )
        .ok(),
        "3\t3\tother\n"
    );
    assert_eq!(ask("/?session_id=s", question).ok(), "3\t5\tdefault\n");
    ask("/?session_id=other", question).fails(404, 60);
    ask("/?session_id=s&session_timeout=100000", "SELECT 1").fails(500, 374);
    ask("/?session_id=s&close_session=1", "SELECT 1").ok();
    ask("/?session_id=s&session_check=1", "SELECT 1").fails(500, 372);
}

#[test]
fn parameters_are_bound_by_the_engine() {
    let server = Server::start();
    let query = "SELECT {s:String}, {n:UInt8} + 1, {a:Array(UInt8)}";
    let answer = server.post_to("/?param_s=it%27s;--&param_n=41&param_a=%5B1,2%5D", query);
    assert_eq!(answer.ok(), "it\\'s;--\t42\t[1,2]\n");
    server.post_to("/?param_n=1", query).fails(500, 456);
    server.post("CREATE TABLE t (a UInt8) ENGINE = Memory").ok();
    server
        .post_to(
            "/?param_t=t&query=INSERT+INTO+%7Bt:Identifier%7D+FORMAT+CSV",
            "5\n",
        )
        .ok();
    assert_eq!(server.value("SELECT a FROM t"), "5");
}

#[test]
fn forms_carry_query_parameters_and_tables() {
    let server = Server::start();
    let form = "--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT sum(a) + {n:UInt8} FROM ext\r\n--b\r\n\
        Content-Disposition: form-data; name=\"param_n\"\r\n\r\n10\r\n--b\r\n\
        Content-Disposition: form-data; name=\"ext\"; filename=\"ext\"\r\n\r\n1\n2\n\r\n--b--\r\n";
    let headers = [("Content-Type", "multipart/form-data; boundary=b")];
    let answer = server.request(
        "POST",
        "/?ext_structure=a+UInt8&ext_format=CSV",
        &headers,
        form.as_bytes(),
    );
    assert_eq!(answer.ok(), "13\n");
}

#[test]
fn the_servers_own_tables_are_real() {
    let server = Server::start();
    assert!(
        server
            .value("SELECT count() FROM system.settings")
            .parse::<u32>()
            .expect("a number")
            > 1000
    );
    assert_eq!(server.value("SELECT count() FROM system.processes"), "1");
    assert_eq!(
        server.value("SELECT count() > 50 FROM system.tables WHERE database = 'system'"),
        "1"
    );
    assert!(server.value("SELECT version()").starts_with("26.7."));
}

#[test]
fn every_compression_both_ways() {
    let server = Server::start();
    let gzip = |address: &str, encoding: &str| {
        server.request(
            "POST",
            address,
            &[("Accept-Encoding", encoding)],
            b"SELECT number FROM numbers(1000)",
        )
    };
    for encoding in ["gzip", "deflate", "lz4", "zstd"] {
        let answer = gzip("/?enable_http_compression=1", encoding);
        assert_eq!(answer.header("Content-Encoding").as_deref(), Some(encoding));
        assert_ne!(answer.body.len(), 3890);
    }
    assert_eq!(
        gzip("/?enable_http_compression=0", "gzip").header("Content-Encoding"),
        None
    );
    assert_eq!(gzip("/", "br").header("Content-Encoding"), None);
    // What the server packs in its own blocks, it can unpack again.
    let blocks = server.post_to("/?compress=1", "SELECT number FROM numbers(1000)");
    assert_eq!(blocks.body[16], 0x82);
    server
        .post("CREATE TABLE t (a UInt64) ENGINE = Memory")
        .ok();
    server
        .post_to(
            "/?decompress=1&query=INSERT+INTO+t+FORMAT+TSV",
            &blocks.body,
        )
        .ok();
    assert_eq!(
        server.value("SELECT count(), sum(a) FROM t"),
        "1000\t499500"
    );
    let mut broken = blocks.body.clone();
    broken[60] ^= 1;
    server
        .post_to("/?decompress=1&query=INSERT+INTO+t+FORMAT+TSV", &broken)
        .fails(500, 40);
    let cut = &blocks.body[..blocks.body.len() - 1];
    server
        .post_to("/?decompress=1&query=INSERT+INTO+t+FORMAT+TSV", cut)
        .fails(500, 33);
    assert_eq!(server.value("SELECT count() FROM t"), "1000");
}
