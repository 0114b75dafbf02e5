//! `barograph dlq` on a real Kafka, and with the real processor.
//!
//! The programs under test are built by `cargo build --release --workspace --bins`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod interrupted;
mod letters;
mod look;
mod originals;
#[path = "../processes/mod.rs"]
mod processes;
mod replay;

use letters::{contains, dlq, said, some_letters, space};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_command_line_and_a_missing_topic_are_told_apart() -> anyhow::Result<()> {
    let space = space("dlq-wrong").await?;
    some_letters(&space).await?;
    let usage: [(&[&str], &str); 7] = [
        (&["replay"], "--reason"),
        (
            &["replay", "--all", "--reason", "empty"],
            "cannot be used with",
        ),
        (&["replay", "--all"], "add --yes"),
        (&["replay", "--position", "17"], "partition:offset"),
        (&["list", "--reason", "bad"], "broken_json"),
        (&["list", "--since", "yesterday"], "30m"),
        (&["show"], "P:O"),
    ];
    for (args, expected) in usage {
        contains(&said(dlq(&space, args).output()?, 64), &[expected]);
    }
    for action in ["list", "replay"] {
        let mut command = dlq(&space, &[action, "--topic", "nowhere.dlq"]);
        if action == "replay" {
            command.args(["--all", "--yes"]);
        }
        let text = said(command.output()?, 1);
        contains(
            &text,
            &[
                "topic nowhere.dlq: does not exist",
                "--topic or KAFKA_TOPIC",
            ],
        );
    }
    let text = said(
        dlq(&space, &["replay", "--all", "--yes", "--to", "nowhere"]).output()?,
        1,
    );
    contains(&text, &["cannot be sent to nowhere", "does not exist"]);
    let text = said(
        dlq(&space, &["replay", "--position", "0:77", "--yes"]).output()?,
        1,
    );
    contains(&text, &["has no letter at 0:77"]);
    Ok(())
}
