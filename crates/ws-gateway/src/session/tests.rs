use contracts::{Severity, websocket::Filter};
use proptest::prelude::*;

use super::*;
use crate::anomalies::anomaly;
use crate::log::Facts;

mod world;

use world::{KEEP, PARTITIONS, QUEUE, Step, World, steps};

#[test]
fn bad_frames_are_told_apart() {
    for (text, code) in [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("[]", "unknown_type"),
        ("{}", "unknown_type"),
        (r#"{"type":7}"#, "unknown_type"),
        (r#"{"type":"unsubscribe"}"#, "unknown_type"),
        (
            r#"{"type":"subscribe","filter":{"min_severity":"severe"}}"#,
            "unknown_severity",
        ),
        (r#"{"type":"subscribe","since":"yesterday"}"#, "bad_cursor"),
        (
            r#"{"type":"subscribe","filter":{"service":["a"]}}"#,
            "bad_frame",
        ),
        (
            r#"{"type":"subscribe","filter":{"services":"a"}}"#,
            "bad_frame",
        ),
        (r#"{"type":"subscribe","since":17}"#, "bad_frame"),
    ] {
        let bad = request::read(text).unwrap_err();
        assert_eq!(bad.code(), code, "{text:?}: {bad}");
    }
    let long = format!("1.ff{}", ".0".repeat(5000));
    assert_eq!(request::cursor(&long).unwrap_err().code(), "bad_cursor");
    for text in [
        r#"{"type":"pong"}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","since":null}"#,
        r#"{"type":"subscribe","filter":{"services":["a"]},"since":"1.ff.0"}"#,
    ] {
        assert!(request::read(text).is_ok(), "{text:?}");
    }
}

#[test]
fn a_prepared_filter_answers_as_the_contract_does() {
    let subject = anomaly(1, 1);
    for (filter, matches) in [
        (r"{}", true),
        (r#"{"services":["checkout"]}"#, true),
        (r#"{"services":["payments"]}"#, true),
        (r#"{"services":["search"]}"#, false),
        (r#"{"kinds":["rate_spike"]}"#, true),
        (r#"{"kinds":["silence"]}"#, false),
        (r#"{"min_severity":"high"}"#, true),
        (r#"{"min_severity":"critical"}"#, false),
        (r#"{"text":"TEN times"}"#, true),
        (r#"{"text":"payment \"81F3\""}"#, true),
        (r#"{"text":"muchcheckout"}"#, false),
        (r#"{"text":"nothing like it"}"#, false),
        (r#"{"services":["checkout"],"kinds":["silence"]}"#, false),
    ] {
        let parsed: Filter = serde_json::from_str(filter).unwrap();
        assert_eq!(parsed.matches(&subject), matches, "{filter}");
        assert_eq!(
            Matcher::new(parsed).matches(&Facts::of(&subject)),
            matches,
            "{filter}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn everything_that_matches_comes_once_or_is_told_to_be_missing(
        before in steps(),
        after in steps(),
        least in 0_usize..4,
    ) {
        let mut world = World::new(Severity::ALL[least], &before);
        for step in &after {
            world.take(step);
        }
        world.check();
    }
}

fn publish(world: &mut World, count: usize) {
    for id in 0..count {
        world.take(&Step::Publish {
            partition: 0,
            id: id as u8,
            version: 1,
            severity: 3,
        });
    }
}

#[test]
fn a_client_that_catches_up_may_be_further_behind_than_its_queue() {
    let mut world = World::new(Severity::Low, &[]);
    publish(&mut world, KEEP);
    world.reconnect();
    while world.read_one() {}
    assert_eq!(world.received.len(), KEEP);
    assert!(world.excused.is_empty());
}

#[test]
fn entries_that_do_not_match_do_not_count_against_the_queue() {
    let mut world = World::new(Severity::Critical, &[]);
    for id in 0..10 {
        world.take(&Step::Publish {
            partition: 0,
            id,
            version: 1,
            severity: 0,
        });
    }
    world.take(&Step::Publish {
        partition: 0,
        id: 11,
        version: 1,
        severity: 3,
    });
    let next = world.session.pull();
    assert!(
        matches!(next, Next::Frame(Frame::Anomaly { .. })),
        "{next:?}"
    );
}

#[test]
fn who_listens_lacks_nothing_when_more_goes_by_than_is_kept_and_nothing_of_it_matches() {
    let mut world = World::new(Severity::Critical, &[]);
    assert!(!world.read_one());
    let kept = KEEP as u32;
    for number in 0..kept * 3 {
        world.take(&Step::Publish {
            partition: 0,
            id: (number % kept) as u8,
            version: number / kept + 1,
            severity: 0,
        });
    }
    assert!(!world.read_one(), "nobody is woken for it");
    let everything = world.log.read().cursor();
    assert_eq!(world.session.cursor(), Some(everything));
    world.take(&Step::Publish {
        partition: 0,
        id: 0,
        version: 9,
        severity: 3,
    });
    assert!(world.read_one());
    assert_eq!(world.received, [(0, i64::from(kept) * 3)]);
    assert!(world.excused.is_empty());
}

#[test]
fn a_slow_client_is_told_how_many_wait_and_where_to_resume() {
    let mut world = World::new(Severity::Low, &[]);
    assert!(!world.read_one());
    publish(&mut world, QUEUE + 1);
    let next = world.session.pull();
    let Next::Frame(Frame::Other(ServerFrame::Lagged { missed, cursor })) = next else {
        panic!("{next:?}");
    };
    assert_eq!((missed, cursor.as_str()), (5, "1.abc.0.0"));
    assert!(
        matches!(world.session.pull(), Next::Idle),
        "on from the newest"
    );
}

#[test]
fn another_topic_is_told_as_gone_to_who_listens_and_to_who_comes_back() {
    let mut world = World::new(Severity::Low, &[]);
    let old = world.cursor.clone();
    world.log.change(|log| log.begin(0xdef, &[0; PARTITIONS]));
    publish(&mut world, 1);
    let frame = world.session.pull();
    assert!(matches!(
        frame,
        Next::Frame(Frame::Other(ServerFrame::Gone { missed: None }))
    ));
    assert!(matches!(
        world.session.pull(),
        Next::Frame(Frame::Anomaly { .. })
    ));
    let answer = world.session.subscribe(Filter::default(), Some(old));
    let [
        ServerFrame::Gone { missed: None },
        ServerFrame::Subscribed { cursor },
    ] = &answer[..]
    else {
        panic!("{answer:?}");
    };
    assert_eq!(cursor, "1.def.0.0");
}
