use contracts::{Severity, websocket::Filter};
use futures::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::anomalies::anomaly;
use crate::log::{Facts, Log};

mod world;

use world::{KEEP, PARTITIONS, QUEUE, Step, TOPIC, World, steps};

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
            r#"{"type":"subscribe","filter":{"severity":"high"}}"#,
            "bad_frame",
        ),
        (
            r#"{"type":"subscribe","filter":{"services":7}}"#,
            "bad_frame",
        ),
        (r#"{"type":"subscribe","since":"1.ff.-1"}"#, "bad_cursor"),
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
        r#"{"type":"subscribe","since":""}"#,
        r#"{"type":"subscribe","since":"2.a-newer-gateway"}"#,
        r#"{"type":"subscribe","since":"1.ff.99999999999999999999"}"#,
        r#"{"type":"subscribe","filter":null}"#,
        r#"{"type":"subscribe","filter":{"min_severity":"CRITICAL"}}"#,
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

fn pulled(session: &mut Follower) -> Vec<ServerFrame> {
    let mut frames = Vec::new();
    while let Next::Frame(Frame::Other(frame)) = session.pull() {
        frames.push(frame);
    }
    frames
}

/// Would catch a client that waits for ever for offsets which nobody will write.
#[test]
fn a_cursor_past_the_end_of_the_topic_is_gone_and_the_stream_goes_on() {
    for next in [
        vec![4, 0],
        vec![i64::MAX, i64::MAX],
        vec![3, 0, 1],
        vec![i64::MAX],
    ] {
        let mut world = World::new(Severity::Low, &[]);
        publish(&mut world, 3);
        let cursor = Cursor { topic: TOPIC, next };
        // It is being looked at already: what that finds may be older than the cursor.
        let before = world.log.change(Log::look);
        let mut session = Follower::new(Arc::clone(&world.log), QUEUE);
        assert!(
            session
                .subscribe(Filter::default(), Some(cursor.clone()))
                .is_empty()
        );
        assert!(pulled(&mut session).is_empty());
        assert!(world.log.is_doubted());
        world.log.change(|log| log.looked(before, Some(vec![3, 0])));
        assert!(
            pulled(&mut session).is_empty(),
            "not settled by an older look"
        );
        let look = world.log.change(Log::look);
        world.log.change(|log| log.looked(look, Some(vec![3, 0])));
        assert!(session.heard().now_or_never().is_some(), "it is woken");
        let frames = pulled(&mut session);
        let [
            ServerFrame::Gone { missed: None },
            ServerFrame::Subscribed { cursor: from },
        ] = &frames[..]
        else {
            panic!("{cursor}: {frames:?}");
        };
        assert_eq!(from, "1.abc.0.0");
    }
}

#[test]
fn a_cursor_that_another_gateway_has_reached_is_waited_for() {
    for ends in [Some(vec![5, 0]), None] {
        let mut world = World::new(Severity::Low, &[]);
        publish(&mut world, 3);
        let cursor = Cursor {
            topic: TOPIC,
            next: vec![5, 0],
        };
        let mut session = Follower::new(Arc::clone(&world.log), QUEUE);
        session.subscribe(Filter::default(), Some(cursor.clone()));
        let look = world.log.change(Log::look);
        world.log.change(|log| log.looked(look, ends.clone()));
        let frames = pulled(&mut session);
        assert!(
            matches!(&frames[..], [ServerFrame::Subscribed { cursor }] if cursor == "1.abc.5.0")
        );
        // Two that it has, and one that it lacks.
        publish(&mut world, 0);
        for id in 3..6 {
            world.take(&Step::Publish {
                partition: 0,
                id,
                version: 1,
                severity: 3,
            });
        }
        let next = loop {
            match session.pull() {
                Next::Busy => {}
                next => break next,
            }
        };
        assert!(matches!(&next, Next::Frame(Frame::Anomaly { entry, .. }) if entry.offset == 5));
    }
}

/// Where nobody could tell at first.
#[test]
fn who_waits_in_vain_is_told_once_it_is_known() {
    let mut world = World::new(Severity::Low, &[]);
    let cursor = Cursor {
        topic: TOPIC,
        next: vec![9, 0],
    };
    let mut session = Follower::new(Arc::clone(&world.log), QUEUE);
    session.subscribe(Filter::default(), Some(cursor));
    let look = |world: &World, ends| {
        let look = world.log.change(Log::look);
        world.log.change(|log| log.looked(look, ends));
    };
    look(&world, None);
    let frames = pulled(&mut session);
    assert!(matches!(&frames[..], [ServerFrame::Subscribed { .. }]));
    publish(&mut world, 1);
    look(&world, Some(vec![1, 0]));
    let frame = session.pull();
    assert!(
        matches!(
            frame,
            Next::Frame(Frame::Other(ServerFrame::Gone { missed: None }))
        ),
        "{frame:?}"
    );
    let frame = session.pull();
    assert!(
        matches!(frame, Next::Frame(Frame::Anomaly { .. })),
        "{frame:?}"
    );
}
