//! What the program does with arguments: it is configured by its environment.

#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::process::{Command, Output, Stdio};

fn gateway(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_ws-gateway");
    Command::new(program).args(arguments).output().unwrap()
}

/// Would catch a service that listens although it was asked something it does not know.
#[test]
fn unknown_arguments_are_refused() {
    for arguments in [
        &["--foo"][..],
        &["serve"],
        &["--help", "--foo"],
        &[""],
        &["--listen", "0.0.0.0:1"],
    ] {
        let output = gateway(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        assert!(said.contains("unexpected argument"), "{said}");
        assert!(said.contains("ws-gateway --help"), "{said}");
    }
}

#[test]
fn help_and_version_are_answered() {
    let help = gateway(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(text.contains("GATEWAY_LISTEN [default: "), "{text}");
    let version = gateway(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let text = String::from_utf8(version.stdout).unwrap();
    assert!(text.starts_with("ws-gateway 0."), "{text}");
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let full = std::fs::File::create("/dev/full").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_ws-gateway"))
        .arg("--help")
        .stdout(full)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(74));
}
