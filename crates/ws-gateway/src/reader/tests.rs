use super::*;
use crate::anomalies::anomaly;
use crate::log::Bounds;

fn survey(topic: u64, watermarks: &[(i64, i64)]) -> Survey {
    Survey {
        topic,
        watermarks: watermarks.to_vec(),
    }
}

#[test]
fn reading_goes_on_in_the_same_topic_and_begins_anew_in_another() {
    let mut log = Log::new(Bounds {
        entries: 10,
        bytes: usize::MAX,
    });
    let from = |log: &mut Log, topic, watermarks: &[(i64, i64)]| {
        let from = resume(log, &survey(topic, watermarks), 10);
        (from, log.generation(), log.next_offsets().to_vec())
    };
    assert_eq!(
        from(&mut log, 7, &[(0, 35)]),
        (vec![15], 1, vec![25]),
        "a window before what is kept"
    );
    assert_eq!(
        from(&mut log, 7, &[(0, 40)]),
        (vec![25], 1, vec![25]),
        "the same topic"
    );
    assert_eq!(
        from(&mut log, 7, &[(30, 40)]),
        (vec![30], 1, vec![30]),
        "retention was faster"
    );
    assert_eq!(
        from(&mut log, 7, &[(30, 40), (0, 2)]),
        (vec![30, 0], 1, vec![30, 0]),
        "a partition more"
    );
    assert_eq!(
        from(&mut log, 7, &[(0, 3), (0, 2)]),
        (vec![0, 0], 2, vec![0, 0]),
        "offsets given again"
    );
    assert_eq!(
        from(&mut log, 8, &[(0, 1)]),
        (vec![0], 3, vec![0]),
        "another topic"
    );
}

#[test]
fn a_document_is_passed_on_as_it_came_unless_it_has_line_breaks() {
    let plain = serde_json::to_string(&anomaly(1, 1)).unwrap();
    let newer = plain.replacen('{', r#"{"from_a_newer_processor":1,"#, 1);
    let pretty = serde_json::to_string_pretty(&anomaly(1, 1)).unwrap();
    for (payload, document) in [(&plain, &plain), (&newer, &newer), (&pretty, &plain)] {
        let (read, text) = decode(Some(payload.as_bytes())).unwrap();
        assert_eq!((read, &*text), (anomaly(1, 1), document.as_str()));
    }
    for payload in [None, Some(&b"{}"[..]), Some(b"\xff"), Some(b"")] {
        assert!(decode(payload).is_err(), "{payload:?}");
    }
}

/// Would catch that a processor which was updated first is taken for one that writes rubbish.
#[test]
fn a_version_that_is_not_known_here_is_told_apart_from_what_is_no_anomaly() {
    let plain = serde_json::to_string(&anomaly(1, 1)).unwrap();
    let ours = format!(r#""schema_version":{SCHEMA_VERSION}"#);
    let newer = plain.replacen(&ours, r#""schema_version":7"#, 1);
    let (read, text) = decode(Some(newer.as_bytes())).unwrap();
    assert_eq!(
        (read.schema_version, &*text),
        (7, newer.as_str()),
        "passed on as it came"
    );
    let other_shape = r#"{"schema_version":7,"what":"nobody knows yet"}"#;
    let error = decode(Some(other_shape.as_bytes())).unwrap_err();
    assert!(matches!(error, Unreadable::Newer(7)), "{error}");
    assert!(error.to_string().contains("schema_version is 7"), "{error}");
    for text in [r#"{"schema_version":1}"#, r#"{"schema_version":"7"}"#, "7"] {
        let error = decode(Some(text.as_bytes())).unwrap_err();
        assert!(matches!(error, Unreadable::Json(_)), "{text}: {error}");
    }
}
