//! `list` and `show`.

use serde_json::json;

use crate::letters::{BINARY, TRACE, contains, dlq, json, ok, said, some_letters, space};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_counts_letters_and_records_and_shows_the_newest() -> anyhow::Result<()> {
    let space = space("dlq-list").await?;
    contains(
        &ok(&space, &["list"]),
        &["dlq-list-logs.dlq is empty: everything could be read."],
    );
    some_letters(&space).await?;
    let text = ok(&space, &["list"]);
    contains(
        &text,
        &[
            "5 letters of dlq-list-logs.dlq, about 4 distinct records",
            "broken_json  3        2",
            "same as 0:0",
            "dlq-list-logs/1/7",
            r#"{"message":"m\u{1b}[2J"#,
            r"\u{1f}\x8b\u{8}\u{0}\xff\u{0} log",
        ],
    );
    assert!(!text.contains('\x1b'), "{text:?}");

    let of = |args: &[&str]| {
        let all: Vec<_> = ["list", "--json"].iter().chain(args).copied().collect();
        json(&space, &all)
    };
    let all = of(&[]);
    assert_eq!((&all["letters"], &all["distinct"]), (&json!(5), &json!(4)));
    assert_eq!(all["newest"][2]["duplicate_of"], "0:0");
    let chosen = of(&[
        "--reason", "not_utf8", "--reason", "empty", "--since", "1h", "--limit", "1",
    ]);
    assert_eq!(chosen["letters"], 2);
    assert_eq!(chosen["newest"].as_array().unwrap().len(), 1);
    assert_eq!(chosen["newest"][0]["position"], "0:3");
    let since = chosen["newest"][0]["at"].as_str().unwrap().to_owned();
    assert_eq!(
        of(&["--since", &since])["newest"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()["position"],
        "0:4"
    );
    assert_eq!(of(&["--since", "2999-01-01T00:00:00Z"])["letters"], 0);
    let none = ok(&space, &["list", "--since", "2999-01-01T00:00:00Z"]);
    contains(&none, &["None of the 5 letters"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn show_says_everything_about_a_letter() -> anyhow::Result<()> {
    let space = space("dlq-show").await?;
    some_letters(&space).await?;
    let text = ok(&space, &["show", "0:1"]);
    contains(
        &text,
        &[
            "not_utf8",
            "dlq-show-logs/0/3",
            r"the \u{1b}[31merror",
            "byte 1 is the first that is not",
            "the first bytes are those of gzip",
            "let the sender encode as UTF-8",
            &format!("traceparent = {TRACE}"),
            "00000000  1f 8b 08 00 ff 00 20 6c",
        ],
    );
    let text = ok(&space, &["show", "0:0"]);
    contains(
        &text,
        &[
            "line 1, column 13: a control character in a string must be escaped",
            "key          checkout",
            r#"{"message":"m\u{1b}[2J"#,
        ],
    );
    assert!(!text.contains('\x1b'), "{text:?}");
    let raw = dlq(&space, &["show", "0:1", "--raw"]).output()?;
    assert_eq!(raw.stdout, BINARY);
    let document = json(&space, &["show", "0:1", "--json"]);
    assert_eq!(document["payload"]["hex"], "1f8b0800ff00206c6f67");
    assert_eq!(document["source"]["offset"], 3);

    let gone = said(dlq(&space, &["show", "0:99"]).output()?, 1);
    contains(&gone, &["has no letter at 0:99: partition 0 holds 0 to 4"]);
    let gone = said(dlq(&space, &["show", "7:0"]).output()?, 1);
    contains(&gone, &["has no partition 7"]);
    Ok(())
}
