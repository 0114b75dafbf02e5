//! Made-up lines in the manner of other systems: what varies in them, and what does not.

#![allow(clippy::unwrap_used, reason = "tests")]

use template_mining::{Limits, Miner};

#[track_caller]
fn check(templates: usize, lines: &[&str]) {
    let mut miner = Miner::new(Limits::default());
    for line in lines {
        miner.observe(line.as_bytes());
    }
    let texts: Vec<_> = miner.templates().map(|t| t.describe().text).collect();
    assert_eq!(texts.len(), templates, "{texts:#?}");
}

#[test]
fn names_that_end_in_digits() {
    check(
        1,
        &[
            "moving pod to rack_A7",
            "moving pod to rack_B3",
            "moving pod to rack_C9",
        ],
    );
    check(
        1,
        &[
            "probe found carrier on port 3 via eth0",
            "probe found carrier on port 4 via wlan1",
        ],
    );
    check(
        1,
        &[
            "no answer from any [pool_A8] source",
            "no answer from any [pool_B2] source",
        ],
    );
    check(
        1,
        &[
            "fault on tree link-0T00:00:0:0",
            "fault on tree link-1N03:02:1:5",
            "fault on tree link9",
        ],
    );
}

#[test]
fn hosts_in_all_their_forms() {
    check(
        1,
        &[
            "moved from node-1/10.1.2.3:8030 now",
            "moved from node-1:8030 now",
            "moved from 10.1.2.3:8030 now",
            "moved from /10.1.2.3:8030 now",
        ],
    );
    check(
        1,
        &[
            "child of nodes node-[40-63] here",
            "child of nodes node-[0-31,64-95] here",
            "child of nodes node-5 here",
        ],
    );
}

#[test]
fn lists_and_values_left_out() {
    check(
        1,
        &[
            "views of Set(ann, bob) granted again",
            "views of Set(ann, bob, cid) granted again",
        ],
    );
    check(1, &["peers [a, b] of ring", "peers [c, d, e] of ring"]);
    check(
        1,
        &[
            "refused; logname= uid=0 tty=ssh",
            "refused; logname=ann uid=0 tty=ssh",
        ],
    );
    check(1, &["speeds ( 3534 3375 )", "speeds ( 3534 **** 4245 )"]);
}

#[test]
fn what_happened_stays_apart() {
    check(
        3,
        &[
            "vm Started (event)",
            "vm Paused (event)",
            "vm Stopped (event)",
        ],
    );
    check(
        2,
        &[
            "task moved from NEW to READY",
            "task moved from READY to DONE",
        ],
    );
    check(
        2,
        &[
            "closed peer 10.0.0.1:7 (no session)",
            "closed peer 10.0.0.1:7 which had session 0x5",
        ],
    );
}
