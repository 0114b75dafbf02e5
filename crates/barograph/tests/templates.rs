//! `barograph templates` on a real ClickHouse, over lines that the miner has mined.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{
    process::{Command, Output, Stdio},
    sync::Arc,
};

use clickhouse_store::{Client, Target, migrate};
use local_stack::{LocalClickHouse, StackConfig, progress};
use serde_json::{Value, json};
use template_mining::{Limits, Miner, TemplateId};
use tokio::sync::OnceCell;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

struct Server {
    // Before the directory: what runs in it ends first.
    clickhouse: LocalClickHouse,
    _dir: tempfile::TempDir,
}

static SERVER: OnceCell<Arc<Server>> = OnceCell::const_new();

async fn server() -> Arc<Server> {
    let server = SERVER.get_or_init(|| async {
        let dir = tempfile::tempdir().unwrap();
        let config = StackConfig::on_free_ports(dir.path()).unwrap();
        let clickhouse = LocalClickHouse::start(config, progress::silent()).await;
        Arc::new(Server {
            clickhouse: clickhouse.unwrap(),
            _dir: dir,
        })
    });
    Arc::clone(server.await)
}

/// A database of the test's own.
struct Room {
    client: Client,
    target: Target,
}

/// A line and the partition that it is in.
struct Line<'a> {
    partition: usize,
    at: i64,
    service: &'a str,
    is_error: bool,
    message: String,
}

fn line(at: i64, service: &str, message: String) -> Line<'_> {
    Line {
        partition: 0,
        at,
        service,
        is_error: false,
        message,
    }
}

fn error(at: i64, service: &str, message: String) -> Line<'_> {
    Line {
        is_error: true,
        ..line(at, service, message)
    }
}

impl Room {
    /// Without the schema.
    async fn bare(name: &str) -> Self {
        let server = server().await;
        let target = Target {
            url: server.clickhouse.clickhouse.url(),
            database: format!("templates_{name}"),
            user: server.clickhouse.user().to_owned(),
            password: server.clickhouse.password().to_owned(),
        };
        Self {
            client: Client::new(target.clone()).unwrap(),
            target,
        }
    }

    async fn new(name: &str) -> Self {
        let room = Self::bare(name).await;
        migrate::apply(&room.client, migrate::ALL).await.unwrap();
        room
    }

    /// Stores them as the processor does, ten lines a block: each with the id that it had by then.
    async fn store(&self, lines: &[Line<'_>]) -> Vec<TemplateId> {
        let mut miners = [Miner::new(Limits::default()), Miner::new(Limits::default())];
        let mut ids = Vec::new();
        for block in lines.chunks(10) {
            let mut rows = Vec::new();
            let (mut texts, mut merges) = (Vec::new(), Vec::new());
            for line in block {
                let id = miners[line.partition].observe(line.message.as_bytes());
                ids.push(id);
                rows.push(row(line, id.0));
            }
            for miner in &mut miners {
                let changes = miner.take_changes();
                texts.extend(changes.templates.into_iter().map(|it| {
                    json!({"template_id": it.id.0, "text": it.text, "open_places": it.open_places, "sample": "a sample"})
                }));
                merges.extend(
                    changes
                        .merges
                        .into_iter()
                        .map(|it| json!({"from_id": it.from.0, "into_id": it.into.0})),
                );
            }
            self.insert("template_texts", &texts).await;
            self.insert("template_merges", &merges).await;
            self.insert("logs", &rows).await;
        }
        ids
    }

    async fn insert(&self, table: &str, rows: &[Value]) {
        let rows: Vec<_> = rows.iter().map(ToString::to_string).collect();
        let statement = format!("INSERT INTO {table} FORMAT JSONEachRow");
        self.client
            .insert(&statement, &[], rows.join("\n").into())
            .await
            .unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_barograph"));
        command
            .arg("templates")
            .args(args)
            .env("CLICKHOUSE_URL", &self.target.url)
            .env("CLICKHOUSE_USER", &self.target.user)
            .env("CLICKHOUSE_PASSWORD", &self.target.password)
            .env("CLICKHOUSE_DATABASE", &self.target.database)
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        said(self.command(args).output().unwrap(), 0)
    }

    #[track_caller]
    fn fails(&self, args: &[&str], code: i32) -> String {
        said(self.command(args).output().unwrap(), code)
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let args: Vec<_> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.ok(&args)).unwrap()
    }
}

fn row(line: &Line<'_>, template_id: u64) -> Value {
    json!({
        "timestamp": moment(line.at),
        "service": line.service,
        "level": if line.is_error { "ERROR" } else { "INFO" },
        "is_error": line.is_error,
        "message": line.message,
        "template_id": template_id,
        "block_day": "2026-11-21",
    })
}

#[track_caller]
fn said(output: Output, code: i32) -> String {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    stdout + &stderr
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_millis() as i64
}

fn moment(at: i64) -> String {
    contracts::Timestamp::from_millis(at).to_string()
}

/// Of the row or rows with that text.
#[track_caller]
fn with_text<'a>(rows: &'a Value, text: &str) -> &'a Value {
    let mut found = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["text"] == text);
    let row = found
        .next()
        .unwrap_or_else(|| panic!("{text:?} is not in {rows:#}"));
    assert!(found.next().is_none(), "{text:?} is there twice");
    row
}

/// Names become a parameter when there have been enough of them: the first lines are stored under
/// ids of their own, which are merged later.
fn logins(at: i64) -> Vec<Line<'static>> {
    let users = [
        "root", "git", "ftp", "mail", "news", "backup", "games", "nobody", "www", "irc", "lp",
        "sync",
    ];
    let login = |(n, user): (usize, &str)| {
        error(
            at + n as i64,
            "sshd",
            format!("login failed for {user} today"),
        )
    };
    users.into_iter().enumerate().map(login).collect()
}

const LOGINS: &str = "login failed for <*> today";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_counts_every_line_once_and_follows_merges() {
    let room = Room::new("list").await;
    let now = now();
    let mut lines = logins(now - 5 * HOUR);
    for n in 0..40 {
        lines.push(line(
            now - 3 * HOUR - n,
            "cart",
            format!("GET /cart/{n} took {n} ms"),
        ));
        let service = ["cart", "checkout", "search", "mail"][n as usize % 4];
        lines.push(line(now - n * 1000, service, "tick".to_owned()));
    }
    lines.push(line(
        now - 90 * MINUTE,
        "evil",
        "clear \x1b[2J all".to_owned(),
    ));
    let ids = room.store(&lines).await;
    assert_ne!(ids[0], ids[11], "nothing was merged");

    let all = room.json(&["list"]);
    assert_eq!((&all["lines"], &all["not_mined"]), (&json!(93), &json!(0)));
    assert_eq!(
        (&all["templates"], &all["matching"]),
        (&json!(4), &json!(4))
    );
    let counts = all["listed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["count"].as_u64().unwrap());
    assert_eq!(counts.collect::<Vec<_>>(), [40, 40, 12, 1]);
    let login = with_text(&all["listed"], LOGINS);
    assert_eq!(
        (&login["count"], &login["errors"]),
        (&json!(12), &json!(12))
    );
    assert_eq!(login["first_seen"], moment(now - 5 * HOUR));
    assert_eq!(login["last_seen"], moment(now - 5 * HOUR + 11));
    assert_eq!(login["services"], json!([{"service": "sshd", "count": 12}]));
    assert_eq!(login["share"].as_f64().unwrap(), 12.0 / 93.0);

    let texts = |args: &[&str]| -> Vec<String> {
        let args: Vec<_> = ["list"].iter().chain(args).copied().collect();
        let listing = room.json(&args);
        let rows = listing["listed"].as_array().unwrap().iter();
        rows.map(|row| row["text"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(texts(&["--errors"]), [LOGINS]);
    assert_eq!(texts(&["--contains", "FAILED"]), [LOGINS]);
    assert_eq!(texts(&["--service", "search"]), ["tick"]);
    assert_eq!(texts(&["--since", "10m"]), ["tick"]);
    assert_eq!(
        texts(&["--since", "4h", "--limit", "1", "--sort", "first-seen"]),
        ["tick"]
    );
    assert_eq!(texts(&["--limit", "1", "--sort", "errors"]), [LOGINS]);
    assert_eq!(
        texts(&["--sort", "last-seen"])[..2],
        ["tick", "clear all"].map(str::to_owned)
    );

    let text = room.ok(&["list"]);
    contains(
        &text,
        &[
            "4 templates of 93 lines\n",
            "12.9%      12  sshd",
            "cart, checkout +2",
            "5h ago",
            "GET <*> took <*> ms",
        ],
    );
    assert!(!text.contains(['\x1b', '…']), "{text:?}");
    // Counts of all time are not counted line by line.
    let by_projection = format!("{}/?force_optimize_projection=1", room.target.url);
    let mut command = room.command(&["list", "--json"]);
    let counted = command.env("CLICKHOUSE_URL", by_projection).output();
    let counted: Value = serde_json::from_str(&said(counted.unwrap(), 0)).unwrap();
    assert_eq!(counted, all);
    contains(
        &room.ok(&["list", "--limit", "1"]),
        &["1 of 4 shown; --limit shows more"],
    );
    contains(
        &room.ok(&["list", "--errors"]),
        &["1 of them are like that"],
    );
    contains(
        &room.ok(&["list", "--contains", "nowhere"]),
        &["None of them is like that."],
    );
    contains(
        &room.ok(&["list", "--service", "no'body"]),
        &["There is no line of no'body."],
    );
}

/// Bounds cut hours in two: the sums of any division are those of the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_whatever_the_bounds() {
    let room = Room::new("bounds").await;
    let now = now();
    let lines: Vec<_> = (0..300)
        .map(|n| line(now - n * 2 * MINUTE, "s", format!("step {n}")))
        .collect();
    room.store(&lines).await;
    for since in [1, 59, 60, 61, 119, 120, 121, 299, 600] {
        let from = now - since * MINUTE;
        let expected = lines.iter().filter(|line| line.at >= from).count();
        let listing = room.json(&["list", "--since", &moment(from)]);
        assert_eq!(listing["lines"], expected, "{since} minutes");
        let until = moment(now - 30 * MINUTE);
        if since > 30 {
            let diff = room.json(&[
                "diff",
                "--since",
                &moment(from),
                "--until",
                &until,
                "--baseline",
                "3h",
            ]);
            let within = |from: i64, until: i64| {
                lines
                    .iter()
                    .filter(|line| (from..until).contains(&line.at))
                    .count()
            };
            assert_eq!(
                diff["after"]["lines"],
                within(from, now - 30 * MINUTE),
                "{since}"
            );
            assert_eq!(
                diff["before"]["lines"],
                within(from - 3 * HOUR, from),
                "{since}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn show_says_everything_about_a_template() {
    let room = Room::new("show").await;
    let now = now();
    let mut lines = logins(now - 2 * HOUR);
    lines.push(error(
        now - MINUTE,
        "sshd\x1b",
        "login failed for ha\u{202e}cker today".to_owned(),
    ));
    lines.push(line(now - 40 * HOUR, "old", "long ago".to_owned()));
    let ids = room.store(&lines).await;
    let first = format!("{:016x}", ids[0].0);
    let document = room.json(&["show", &first]);
    let id = document["id"].as_str().unwrap().to_owned();
    assert_eq!(document["text"], LOGINS);
    assert_eq!(
        (&document["count"], &document["errors"]),
        (&json!(13), &json!(13))
    );
    assert_eq!(document["services"][0]["service"], "sshd");
    assert_eq!(document["hours"].as_array().unwrap().len(), 24);
    let in_hours: u64 = document["hours"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_u64().unwrap())
        .sum();
    assert_eq!(in_hours, 13);
    assert_eq!(document["first_seen"], moment(now - 2 * HOUR));
    assert_eq!(
        document["newest"][0]["message"],
        "login failed for ha\u{202e}cker today"
    );
    assert_eq!(document["newest"].as_array().unwrap().len(), 3);
    assert_eq!(
        document["newest"][1]["message"],
        "login failed for sync today"
    );
    assert_eq!(
        document["newest"][1]["parameters"],
        json!([{"start": 17, "end": 21}])
    );

    // Whatever it is asked by, it is the same one.
    let merged = document["merged_ids"].as_array().unwrap();
    assert!(!merged.is_empty());
    for other in merged {
        let other = other.as_str().unwrap();
        let by_other = room.json(&["show", other]);
        assert_eq!(
            (&by_other["id"], &by_other["merged_from"]),
            (&json!(id), &json!(other))
        );
    }
    assert_eq!(room.json(&["show", &id])["merged_from"], Value::Null);

    let text = room.ok(&["show", merged[0].as_str().unwrap()]);
    contains(
        &text,
        &[
            &format!("{} was merged into it", merged[0].as_str().unwrap()),
            "login failed for ‹sync› today",
            r"login failed for ‹ha\u{202e}cker› today",
            r"sshd\u{1b}",
            "13 lines",
            "2h ago",
            "a sample",
        ],
    );
    assert!(!text.contains('\x1b'), "{text:?}");

    // The statement that it shows finds its lines.
    let sql = document["sql"].as_str().unwrap();
    let answer = room.client.execute(sql, &[]).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer).lines().count(), 13);

    let old = room.json(&["list", "--service", "old"]);
    let old = room.ok(&["show", old["listed"][0]["id"].as_str().unwrap()]);
    contains(
        &old,
        &[
            "last 24 h    no line",
            "merged ids   none",
            "40h ago",
            "    long ago",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_names_nothing_or_too_much_is_told() {
    let room = Room::new("ids").await;
    let ids = [
        0xabc1_0000_0000_0000_u64,
        0xabc2_0000_0000_0000,
        0x00cd_0000_0000_0001,
    ];
    let texts = ids
        .map(|id| json!({"template_id": id, "text": format!("text of {id:x}"), "open_places": 0}));
    room.insert("template_texts", &texts).await;
    let empty = json!({"template_id": ids[2], "text": "", "open_places": 1});
    room.insert("template_texts", &[empty]).await;
    room.insert(
        "template_merges",
        &[json!({"from_id": 0xabcd_0000_0000_0000_u64, "into_id": ids[1]})],
    )
    .await;
    contains(
        &room.ok(&["show", "00cd"]),
        &["(an empty line)", "No line of it is stored any more."],
    );
    contains(
        &room.ok(&["show", "0xABC2"]),
        &["template     abc2000000000000"],
    );
    // Two ids begin so, and they are one template.
    contains(
        &room.ok(&["show", "abcd"]),
        &["abcd000000000000 was merged into it"],
    );
    let text = room.fails(&["show", "abc"], 1);
    contains(
        &text,
        &[
            "2 templates have an id that begins with abc; more digits",
            "abc1000000000000  text of abc1",
            "abc2000000000000  text of abc2",
        ],
    );
    contains(
        &room.fails(&["show", "ee"], 1),
        &["no template has the id ee", "templates list"],
    );
    contains(
        &room.fails(&["show", "0000000000000000"], 1),
        &["before templates were mined"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn diff_finds_what_changed_and_leaves_out_chance() {
    let room = Room::new("diff").await;
    let (before, after) = (now() - 100 * MINUTE, now() - 50 * MINUTE);
    let mut lines = Vec::new();
    // So often before and after, evenly over 50 minutes each.
    let mut put = |message: &dyn Fn(i64) -> String, count_before: i64, count_after: i64| {
        for (from, count) in [(before, count_before), (after, count_after)] {
            for n in 0..count {
                lines.push(line(from + n * 50 * MINUTE / count, "shop", message(n)));
            }
        }
    };
    put(&|n| format!("request {n} served"), 400, 410);
    put(&|n| format!("retry {n} of payment"), 20, 160);
    put(&|n| format!("cache hit {n}"), 200, 40);
    put(&|_| "connection pool exhausted".to_owned(), 0, 60);
    put(&|_| "nightly job done".to_owned(), 25, 0);
    put(&|n| format!("rare thing {n}"), 1, 3);
    put(&|n| format!("seen once {n}"), 1, 0);
    // Known for long, though not from the time that is compared with: not new.
    lines.push(line(before - 20 * HOUR, "shop", "shutting down".to_owned()));
    lines.push(line(after + MINUTE, "shop", "shutting down".to_owned()));
    lines.push(line(
        after + MINUTE,
        "other",
        "hello from another service".to_owned(),
    ));
    room.store(&lines).await;

    let since = moment(after);
    let diff = room.json(&["diff", "--since", &since, "--baseline", "50m"]);
    assert_eq!(
        (&diff["before"]["lines"], &diff["after"]["lines"]),
        (&json!(647), &json!(675))
    );
    let texts = |kind: &str| -> Vec<String> {
        let rows = diff[kind].as_array().unwrap().iter();
        rows.map(|row| row["text"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        texts("new"),
        ["connection pool exhausted", "hello from another service"]
    );
    assert_eq!(texts("vanished"), ["nightly job done"]);
    assert_eq!(texts("grown"), ["retry <*> of payment"]);
    assert_eq!(texts("shrunk"), ["cache hit <*>"]);
    assert_eq!(diff["vanished_by_chance"], 1);
    let grown = &diff["grown"][0];
    assert_eq!(
        (&grown["before"], &grown["after"]),
        (&json!(20), &json!(160))
    );
    let ratio = grown["ratio"].as_f64().unwrap();
    assert!((7.0..8.0).contains(&ratio), "{ratio}");

    let text = room.ok(&[
        "diff",
        "--since",
        &since,
        "--baseline",
        "50m",
        "--service",
        "shop",
    ]);
    contains(
        &text,
        &[
            "674 lines of shop",
            "New: 1\n",
            "Vanished: 1\n",
            "Grown: 1\n",
            "Shrunk: 1\n",
            "0.4 → 3.2",
            "×7.",
            "0 → 1.2",
        ],
    );
    assert!(!text.contains('…'), "{text}");
    let one = room.ok(&[
        "diff",
        "--since",
        &since,
        "--baseline",
        "50m",
        "--limit",
        "1",
    ]);
    contains(&one, &["New: 2\n", "and 1 more; --limit shows them"]);

    // Back to where the oldest line is, and no further.
    let text = room.ok(&["diff", "--since", &since, "--baseline", "30d"]);
    contains(&text, &["as far back as lines are stored"]);
    let quiet = moment(after + MINUTE * 2);
    let text = room.ok(&[
        "diff",
        "--since",
        &quiet,
        "--baseline",
        "40m",
        "--service",
        "nobody",
    ]);
    contains(&text, &["There is nothing to compare: no line of nobody"]);
    let text = room.ok(&[
        "diff",
        "--since",
        &moment(before - 21 * HOUR),
        "--baseline",
        "1h",
    ]);
    contains(&text, &["No line was stored before: everything is new."]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_were_not_mined_are_told_apart() {
    let room = Room::new("not_mined").await;
    let now = now();
    let old: Vec<_> = (0..7)
        .map(|n| row(&line(now - HOUR, "s", format!("old {n}")), 0))
        .collect();
    room.insert("logs", &old).await;
    contains(
        &room.ok(&["list"]),
        &["No line has a template; 7 more were stored before templates were mined."],
    );
    room.store(&[line(now - MINUTE, "s", "mined".to_owned())])
        .await;
    let text = room.ok(&["list"]);
    contains(
        &text,
        &["1 templates of 1 lines; 7 more were stored", "mined\n"],
    );
    let text = room.ok(&["diff", "--since", "10m", "--baseline", "2h"]);
    contains(
        &text,
        &["7 more were stored before templates were mined", "New: 1"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stored_nothing_there_and_nothing_answering_are_told_apart() {
    let room = Room::new("empty").await;
    contains(&room.ok(&["list"]), &["No line is stored."]);
    contains(
        &room.ok(&["list", "--since", "1h"]),
        &["There is no line since "],
    );
    contains(
        &room.ok(&["diff", "--since", "1h"]),
        &["There is nothing to compare: no line is stored"],
    );
    assert_eq!(room.json(&["list"])["listed"], json!([]));
    assert_eq!(room.json(&["diff", "--since", "1h"])["new"], json!([]));
    contains(
        &room.fails(&["show", "1"], 1),
        &["no template has the id 1 or one that begins so"],
    );

    let bare = Room::bare("bare").await;
    for args in [&["list"][..], &["show", "1"], &["diff", "--since", "1h"]] {
        contains(&bare.fails(args, 1), &["`barograph migrate`"]);
        let stranger = bare
            .command(args)
            .env("CLICKHOUSE_PASSWORD", "guessed")
            .output()
            .unwrap();
        contains(
            &said(stranger, 1),
            &["CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"],
        );
        let nowhere = format!(
            "http://127.0.0.1:{}",
            local_stack::Ports::free().unwrap().clickhouse
        );
        let down = bare
            .command(args)
            .env("CLICKHOUSE_URL", &nowhere)
            .output()
            .unwrap();
        contains(
            &said(down, 1),
            &["barograph up", &nowhere, "cannot be reached"],
        );
    }
}

#[tokio::test]
async fn a_wrong_command_line_says_what_would_be_right() {
    let room = Room::bare("wrong").await;
    let usage: [(&[&str], &str); 9] = [
        (&[], "Usage"),
        (&["show"], "<ID>"),
        (&["show", "xyz"], "1 to 16 hexadecimal digits"),
        (&["list", "--since", "yesterday"], "2026-11-21T07:00:00Z"),
        (&["list", "--sort", "size"], "last-seen"),
        (&["diff"], "--since"),
        (
            &["diff", "--since", "1h", "--baseline", "0h"],
            "30m, 1h or 2d",
        ),
        (
            &["diff", "--since", "1h", "--until", "2h"],
            "is not before --until",
        ),
        (
            &["diff", "--since", "2999-01-01T00:00:00Z"],
            "neither lies in the future",
        ),
    ];
    for (args, expected) in usage {
        contains(&room.fails(args, 64), &[expected]);
    }
}
