//! Lines and the template that each has by itself: what is taken for a parameter at first sight.

#![allow(clippy::unwrap_used, reason = "tests")]

use template_mining::{Kind, Limits, Miner};

fn template_of(lines: &[&str]) -> String {
    let mut miner = Miner::new(Limits::default());
    for line in lines {
        miner.observe(line.as_bytes());
    }
    let mut texts: Vec<_> = miner.templates().map(|t| t.describe().text).collect();
    texts.sort();
    texts.join(" / ")
}

#[test]
fn parameters_by_their_look() {
    for (line, template) in [
        ("took 12 ms", "took <*> ms"),
        ("took 12ms, 45.5% of 1,234,567", "took <*>, <*> of <*>"),
        ("listening on 0.0.0.0:8080", "listening on <*>"),
        ("peer [2001:db8::1]:443 gone", "peer <*> gone"),
        ("mail to ops@example.org failed", "mail to <*> failed"),
        (
            "open /var/log/app.log: permission denied",
            "open <*>: permission denied",
        ),
        ("GET https://example.org/a?b=c 200", "GET <*> <*>"),
        (
            "request 550e8400-e29b-41d4-a716-446655440000 done",
            "request <*> done",
        ),
        ("commit deadbeefcafe by alice", "commit <*> by alice"),
        ("at 2026-11-21T17:00:00.123Z stopped", "at <*> stopped"),
        ("on Sat Nov 21 17:00:00 2026 stopped", "on <*> stopped"),
        ("retry=3 ok=true user=alice", "retry=<*> ok=<*> user=alice"),
        (
            "{\"level\":\"info\",\"n\":5}",
            "{\"level\":\"info\",\"n\":<*>}",
        ),
        (
            "can't read 'x.conf', won't try",
            "can't read 'x.conf', won't try",
        ),
        ("node-1734 joined", "<*> joined"),
        ("ssh2 closed", "ssh2 closed"),
        ("offset +5 -7 0x1f", "offset <*> <*> <*>"),
        ("progress.......42", "progress.......<*>"),
        ("lifetime <1 sec", "lifetime <*> sec"),
        ("sent 13862 bytes (13.5 KB)", "sent <*> bytes (<*> KB)"),
        ("name= value=", "name= value="),
        ("", ""),
        ("   ", ""),
        (
            "\u{fc}ber 5 \u{4f60}\u{597d}",
            "\u{fc}ber <*> \u{4f60}\u{597d}",
        ),
    ] {
        assert_eq!(template_of(&[line]), template, "{line}");
    }
}

#[test]
fn values_are_shown_until_they_differ() {
    assert_eq!(
        template_of(&["user=alice ok", "user=alice ok"]),
        "user=alice ok"
    );
    assert_eq!(
        template_of(&["user=alice ok", "user=bob ok"]),
        "user=<*> ok"
    );
    assert_eq!(template_of(&["took 5 ms", "took 3 s"]), "took <*>");
    assert_eq!(template_of(&["moved 1, 2", "moved 1, 2, 3"]), "moved <*>");
    assert_eq!(template_of(&["moved 1, 2", "moved 3, 4"]), "moved <*>, <*>");
    assert_eq!(
        template_of(&["at com.example.app.Main", "at com.example.app.Other"]),
        "at <*>"
    );
}

#[test]
fn what_says_what_happened_is_no_parameter() {
    assert_eq!(
        template_of(&[
            "java.io.IOException: closed",
            "java.lang.IllegalStateException: closed"
        ]),
        "java.io.IOException: closed / java.lang.IllegalStateException: closed"
    );
    assert_eq!(
        template_of(&["action=SCREEN_ON 5", "action=SCREEN_OFF 5"]),
        "action=SCREEN_OFF <*> / action=SCREEN_ON <*>"
    );
    assert_eq!(
        template_of(&["disk full", "disk ok", "disk slow"]),
        "disk full / disk ok / disk slow"
    );
}

#[test]
fn names_become_parameters_when_there_are_enough() {
    let users = ["root", "git", "ftp", "www", "bob"].map(|u| format!("login failed for {u} today"));
    let lines: Vec<_> = users.iter().map(String::as_str).collect();
    assert_eq!(template_of(&lines), "login failed for <*> today");
    let names = [
        "red", "blue", "green", "pink", "grey", "gold", "cyan", "lime",
    ];
    let lines = names.map(|n| format!("pool {n} drained"));
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    assert_eq!(template_of(&lines[..7]).matches('/').count(), 6);
    assert_eq!(template_of(&lines), "pool <*> drained");
}

#[test]
fn a_parameter_in_a_words_place_makes_a_parameter_of_the_word() {
    for lines in [
        ["login failed for 17 today", "login failed for root today"],
        ["login failed for root today", "login failed for 17 today"],
    ] {
        assert_eq!(template_of(&lines), "login failed for <*> today");
    }
}

#[test]
fn stack_traces_are_one_parameter() {
    let java = "java.lang.IllegalStateException: pool closed\n\tat a.b.C.run(C.java:12)\n\tat a.b.D.go(D.java:7)\nCaused by: java.io.IOException: reset\n\tat x.Y.z(Y.java:1)\n\t... 12 more";
    let deeper = "java.lang.IllegalStateException: pool closed\n\tat q.R.s(R.java:99)\nCaused by: java.io.IOException: reset\n\tat x.Y.z(Y.java:1)\n\tat x.Y.w(Y.java:2)\n\t... 3 more";
    assert_eq!(
        template_of(&[java, deeper]),
        "java.lang.IllegalStateException: pool closed <*> Caused by: java.io.IOException: reset <*>"
    );
    let python = "Traceback (most recent call last):\n  File \"/srv/app.py\", line 3, in <module>\n    main()\n  File \"/srv/lib.py\", line 9, in main\n    raise ValueError(n)\nValueError: bad size 7";
    assert_eq!(
        template_of(&[python]),
        "Traceback (most recent call last): <*> ValueError: bad size <*>"
    );
    let go = "panic: index out of range [5]\n\ngoroutine 1 [running]:\nmain.find(0x1, 0x2)\n\t/src/main.go:12 +0x1d\nmain.main()\n\t/src/main.go:5 +0x20\n\nexit status 2";
    assert_eq!(
        template_of(&[go]),
        "panic: index out of range [<*>] <*> exit status <*>"
    );
    let rust = "thread 'main' panicked at src/main.rs:3:5:\nboom\nstack backtrace:\n   0: std::panicking::begin_panic\n             at /rustc/library/std/src/panicking.rs:1:1\n   1: app::main";
    assert_eq!(
        template_of(&[rust]),
        "thread 'main' panicked at src/main.rs:<*>: boom <*>"
    );
}

#[test]
fn a_long_line_is_told_by_its_head() {
    let mut miner = Miner::new(Limits {
        templates: 100,
        tokens: 8,
        bytes: 64,
    });
    let long = |n: usize| {
        format!(
            "import of batch {n} failed because {}",
            "many rows were bad, ".repeat(n)
        )
    };
    let first = miner.observe(long(10).as_bytes());
    assert_eq!(first, miner.observe(long(500_000).as_bytes()));
    let kinds: Vec<_> = miner.parameters().map(|p| p.kind).collect();
    assert_eq!(kinds, [Kind::Number, Kind::Rest]);
    assert_ne!(first, miner.observe(b"import of batch 1 failed because"));
}

#[test]
fn parameters_are_told_with_their_kind() {
    let mut miner = Miner::new(Limits::default());
    let line = "GET /a/b from 10.0.0.7:99 took 1.5 s id=550e8400-e29b-41d4-a716-446655440000";
    miner.observe(line.as_bytes());
    let found: Vec<_> = miner
        .parameters()
        .map(|p| (p.kind, &line[p.bytes]))
        .collect();
    assert_eq!(
        found,
        [
            (Kind::Path, "/a/b"),
            (Kind::Address, "10.0.0.7:99"),
            (Kind::Quantity, "1.5 s"),
            (Kind::Uuid, "550e8400-e29b-41d4-a716-446655440000"),
        ]
    );
}
