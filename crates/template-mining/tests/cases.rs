//! What people reported of other miners: lines, and how many templates they are.

#![allow(clippy::unwrap_used, reason = "tests")]

use template_mining::{Limits, Miner};

#[track_caller]
fn check(templates: usize, lines: &[impl AsRef<str>]) {
    let mut miner = Miner::new(Limits::default());
    for line in lines {
        miner.observe(line.as_ref().as_bytes());
    }
    let texts: Vec<_> = miner.templates().map(|t| t.describe().text).collect();
    assert_eq!(texts.len(), templates, "{texts:#?}");
}

fn each<T>(values: impl IntoIterator<Item = T>, line: impl Fn(T) -> String) -> Vec<String> {
    values.into_iter().map(line).collect()
}

fn both(first: Vec<String>, second: Vec<String>) -> Vec<String> {
    [first, second].concat()
}

#[test]
fn what_stands_behind_digits_matters() {
    for (done, broken) in [
        ("task_N_failed", "task_N_succeeded"),
        ("export-N-done: ok", "export-N-refused: ok"),
        ("jobNStarted today", "jobNStopped today"),
        ("order.N.created", "order.N.cancelled"),
        ("用户N登录成功", "用户N登录失败"),
        ("注文Nを確定 5", "注文Nを取消 5"),
        ("ผู้ใช้N เข้า", "ผู้ใช้N ออก"),
    ] {
        let numbered =
            |text: &str| each([7, 12, 1000, 20_441], |n| text.replace('N', &n.to_string()));
        check(2, &both(numbered(done), numbered(broken)));
    }
    check(2, &["耗时35ms完成", "耗时7ms完成", "耗时7ms失败"]);
    check(1, &["worker=task_1_failed", "worker=task_2_succeeded"]);
}

#[test]
fn a_coloured_word_is_its_word() {
    let probe = |colour: u8, state: &str| {
        each(0..9, |n| {
            format!("probe \x1b[{colour}m{state}\x1b[0m for pod-{n}")
        })
    };
    check(2, &both(probe(32, "passed"), probe(31, "failed")));
    check(
        1,
        &[
            "probe passed for pod-1",
            "probe \x1b[1;38;5;10mpassed\x1b[0m for pod-\x1b[4m2\x1b[24m",
        ],
    );
    check(
        1,
        &[
            "see build 7",
            "see \x1b]8;;https://ci.example/7\x07build\x1b]8;;\x07 8\x1b[K",
        ],
    );
    check(1, &["\x1b[2muser\x1b[0m\x1b[2m=\x1b[0malice", "user=bob"]);
}

#[test]
fn a_colour_does_not_move_parameters() {
    let mut miner = Miner::new(Limits::default());
    let line = "took \x1b[33m12\x1b[0m of \x1b[33m7 %\x1b[0m";
    miner.observe(line.as_bytes());
    let found: Vec<_> = miner.parameters().map(|p| &line[p.bytes]).collect();
    assert_eq!(found, ["12", "7 %"]);
}

#[test]
fn a_trace_is_one_template_however_deep() {
    type Frame = fn(usize) -> String;
    let kinds: [(&str, Frame, &str); 12] = [
        (
            "java.io.IOException: disk full\n",
            |n| format!("\tat a.b.C{n}.run(C{n}.java:{n})\n"),
            "Caused by: a.b.X: gone\n\tat a.Y.z(Y.java:1)",
        ),
        (
            "java.io.IOException: disk full\r\n",
            |n| format!("\tat a.b.C{n}.run(C{n}.java:{n})\r\n"),
            "",
        ),
        (
            "System.Exception: disk full\r\n",
            |n| format!("   at A.B{n}.C(Int32 x) in C:\\src\\B{n}.cs:line {n}\r\n"),
            "--- End of inner exception stack trace ---",
        ),
        (
            "TypeError: x is undefined\n",
            |n| format!("    at f{n} (/srv/m{n}.js:{n}:5)\n"),
            "",
        ),
        (
            "Traceback (most recent call last):\n",
            |n| format!("  File \"/srv/m{n}.py\", line {n}, in f\n    g{n}(x)\n    ~~^^^\n"),
            "ValueError: disk full",
        ),
        (
            "PHP Fatal error:  disk full in /srv/a.php:12\nStack trace:\n",
            |n| format!("#{n} /srv/m{n}.php({n}): f{n}()\n"),
            "  thrown in /srv/a.php on line 12",
        ),
        (
            "NoMethodError: no total for nil\n",
            |n| format!("app/models/m{n}.rb:{n}:in `f{n}'\n"),
            "",
        ),
        (
            "app/a.rb:3:in 'Cart#total': no total (NoMethodError)\n",
            |n| format!("\tfrom app/models/m{n}.rb:{n}:in 'M#f{n}'\n"),
            "",
        ),
        (
            "panic: disk full\n\ngoroutine 17 [running]:\n",
            |n| format!("shop/cart.f{n}(0xc{n:07})\n\t/srv/m{n}.go:{n} +0x1d\n"),
            "exit status 2",
        ),
        (
            "open failed: disk full\n",
            |n| format!("shop/cart.(*T).f{n}\n\t/srv/m{n}.go:{n}\n"),
            "",
        ),
        (
            "** (RuntimeError) disk full\n",
            |n| {
                format!(
                    "    (shop 0.1.{n}) lib/m{n}.ex:{n}: Shop.M{n}.f/1\n    lib/n.ex:{n}: N.g/2\n"
                )
            },
            "",
        ),
        (
            "disk full at a.pl line 5.\n",
            |n| format!("\tmain::f{n}({n}) called at m{n}.pl line {n}\n"),
            "",
        ),
    ];
    for (head, frame, tail) in kinds {
        let lines = each([1, 3, 9, 60, 300], |depth| {
            let frames: String = (0..depth).map(frame).collect();
            format!("{head}{frames}{tail}")
        });
        check(1, &lines);
        check(
            2,
            &[
                format!("{head}{}{tail}", frame(1)),
                format!("other {head}{}{tail}", frame(1)),
            ],
        );
    }
}

/// Would catch a cut that leaves the last frames in one place and none in another.
#[test]
fn a_trace_may_begin_where_a_line_is_cut() {
    let mut miner = Miner::new(Limits {
        templates: 16,
        tokens: 50,
        bytes: 100,
    });
    for depth in 1..40 {
        let frames = "\n\tat a.b.C.run(C.java:12)".repeat(depth);
        miner.observe(
            format!("{:<1$}{frames}", "disk full", 60)
                .trim_end()
                .as_bytes(),
        );
    }
    assert_eq!(miner.len(), 1);
}

#[test]
fn ids_in_base64() {
    let ids = [
        "WP7tUQeMEnu4q0ewEEo65ZT1p4nthuFk",
        "kbLKdneHamUqBR51UIDyK+FD3IH8CEGL",
        "K/tKRnwP6PEojZhM+Q2AroR/HsTGxU3G",
        "+qLGxKdlRQuKqpmoZaSelIldbuaPiumK",
        "F882dB/7U5V5cxRHYMix9b36Gkqvihr+",
        "aGVsbG8gd29ybGQhIQ1zR8x==",
        "Zx9/Kd3mQpT8vLr2=",
    ];
    check(1, &each(ids, |id| format!("token {id} accepted")));
    check(1, &each(ids, |id| format!("digest of layer: {id}, kept")));
    check(
        2,
        &[
            "created UserWithEmailAndPassword",
            "created AccountForOrganisation",
        ],
    );
}

#[test]
fn addresses_with_zone_and_port() {
    let peers = [
        "10.0.0.7",
        "10.0.0.7:443",
        "fe80::1%eth0",
        "[2001:db8::1]:443",
        "::1",
        "[fe80::2%en0]:22",
        "::ffff:10.0.0.7",
        "/10.0.0.7:99",
        "db-1/10.0.0.7:99",
    ];
    check(1, &each(peers, |peer| format!("peer {peer} gone")));
    check(1, &each(peers, |peer| format!("peer {peer}: gone")));
    check(1, &["net 10.0.0.0/8 added", "net 2001:db8::/32 added"]);
    check(2, &["std::vec grew", "std::map grew"]);
}

#[test]
fn numbers_of_all_countries() {
    let numbers = [
        "12",
        "1.234,50",
        "1,234.50",
        "1 234",
        "-7,5",
        "+3",
        "1,234,567.5",
    ];
    check(1, &each(numbers, |n| format!("sum {n} EUR booked")));
    check(
        1,
        &["disk at 7 % of 9", "disk at 7% of 9", "disk at 99.5 % of 9"],
    );
    check(
        1,
        &each(
            ["350ns", "412.5µs", "1.2ms", "2m3.5s", "1,203.5 ms"],
            |t| format!("done in {t}"),
        ),
    );
}

#[test]
fn states_behind_prepositions_are_text() {
    let with = |text: &str, words: &[&str]| each(words, |w| text.replace('X', w));
    check(
        3,
        &with(
            "worker gave up waiting for X",
            &["lock", "memory", "shutdown"],
        ),
    );
    check(
        3,
        &with(
            "request was stopped by X here",
            &["timeout", "client", "quota"],
        ),
    );
    check(
        3,
        &with("breaker is on X now", &["hold", "probation", "duty"]),
    );
    check(
        1,
        &with(
            "login failed for X today",
            &["root", "git", "ftp", "www", "bob"],
        ),
    );
    check(1, &with("session opened for user X", &["root", "news"]));
    check(
        3,
        &with("job moved from X to storage", &["NEW", "RUNNING", "FAILED"]),
    );
}

#[test]
fn what_was_right_stays_right() {
    let data = |state: &str| each(0..12, |n| format!("backup of disk{n} {state}"));
    check(2, &both(data("succeeded"), data("failed")));
    check(1, &["", " ", "\n"]);
    check(
        1,
        &each(0..30, |n: u32| {
            format!(
                "commit {:08x} deployed",
                n.wrapping_mul(0x9e37_79b1) | 0x1000_0000
            )
        }),
    );
    check(
        2,
        &[
            "object {6F9619FF-8B86-D011-B42D-00CF4FC964FF} gone",
            "object 6f9619ff-8b86-d011-b42d-00cf4fc964ff gone",
            "object 6f9619ff8b86d011b42d00cf4fc964ff gone",
        ],
    );
    check(
        1,
        &each(["alice", "bob", "carol"], |u| {
            format!("cannot open C:\\Users\\{u}\\cart.db")
        }),
    );
    check(
        1,
        &each(["alice", "bob"], |u| {
            format!("GET /search?q={u}&page=3&sort=[price,3] 200")
        }),
    );
    let event = |kind: &str| {
        each(["alice", "bob"], |u| {
            format!("{{\"event\":\"{kind}\",\"user\":\"{u}\",\"took\":0.5}}")
        })
    };
    check(2, &both(event("charge"), event("refund")));
    let command = |text: &str| {
        each(["alice", "bob", "carol"], |u| {
            format!("user={u} ip=none cmd={text}")
        })
    };
    check(
        2,
        &both(
            command("Store shutdown complete"),
            command("Shutting down the store"),
        ),
    );
    check(
        1,
        &each(
            [
                "ujzPdeIgx",
                "ncfBAepf",
                "hoOOLdKL",
                "JisAjIhK",
                "gLKOmxgJ",
                "NnFRIBXu",
                "tpYlSXpf",
                "vUCsMehG",
            ],
            |id| format!("cart {id} evicted"),
        ),
    );
}
