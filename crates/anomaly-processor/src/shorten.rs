//! Makes an anomaly smaller that Kafka refuses for its size: what was found stays, what it was seen by
//! goes, the longest first.

use contracts::{Anomaly, anomaly::Subject};
use kafka_io::kept::Kept;

/// Bytes of a text that is shortened at first, and at last.
const LONG: usize = 1024;
const SHORT: usize = 128;

/// `false`: it is as small as it can be.
pub(crate) fn shorten(message: &mut Kept) -> bool {
    let Some(payload) = &message.payload else {
        return false;
    };
    let Ok(mut anomaly) = serde_json::from_slice::<Anomaly>(payload) else {
        return false;
    };
    for step in [cut_samples, leave_out_samples, cut_everything] {
        step(&mut anomaly);
        if let Ok(smaller) = serde_json::to_vec(&anomaly)
            && smaller.len() < payload.len()
        {
            message.payload = Some(smaller);
            return true;
        }
    }
    false
}

fn cut_samples(anomaly: &mut Anomaly) {
    for sample in &mut anomaly.samples {
        cut(&mut sample.message, LONG);
        cut(sample.trace_id.get_or_insert_default(), SHORT);
        sample.trace_id.take_if(|id| id.is_empty());
    }
}

fn leave_out_samples(anomaly: &mut Anomaly) {
    anomaly.samples.clear();
    texts(anomaly, LONG);
}

fn cut_everything(anomaly: &mut Anomaly) {
    anomaly.explanation.parts.clear();
    anomaly.services.truncate(16);
    anomaly.more_evidence.truncate(16);
    let Subject {
        service: _,
        template,
        host,
        endpoint,
        address,
        user,
        rule,
    } = &mut anomaly.subject;
    let template = template.iter_mut().map(|template| &mut template.text);
    for text in [host, endpoint, address, user, rule]
        .into_iter()
        .flatten()
        .chain(template)
    {
        cut(text, SHORT);
    }
    texts(anomaly, SHORT);
}

fn texts(anomaly: &mut Anomaly, most: usize) {
    let explanation = &mut anomaly.explanation;
    let parts = explanation.parts.iter_mut().map(|part| &mut part.text);
    for text in [
        &mut anomaly.title,
        &mut explanation.summary,
        &mut explanation.baseline,
    ]
    .into_iter()
    .chain(parts)
    {
        cut(text, most);
    }
}

fn cut(text: &mut String, most: usize) {
    const MORE: &str = "…";
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - MORE.len()));
        text.push_str(MORE);
    }
}

#[cfg(test)]
mod tests {
    use contracts::{
        Level, Severity, State, Timestamp,
        anomaly::{Direction, Evidence, Explanation, Part, SCHEMA_VERSION, Sample},
    };

    use super::*;

    fn anomaly(length: usize) -> Anomaly {
        let text = || "ä".repeat(length / 2);
        let at = Timestamp::from_millis(1_795_244_400_000);
        Anomaly {
            schema_version: SCHEMA_VERSION,
            id: uuid::Uuid::nil(),
            version: 1,
            state: State::Opened,
            detector: "burst".to_owned(),
            kind: "error_burst".to_owned(),
            service: "checkout".to_owned(),
            subject: Subject::default(),
            series: "checkout/errors".to_owned(),
            window_start: at,
            window_end: at,
            detected_at: at,
            published_at: at,
            severity: Severity::High,
            score: 3.0,
            direction: Direction::Up,
            unit: "errors".to_owned(),
            observed: 9.0,
            expected: 1.0,
            lower: 0.0,
            upper: 3.0,
            title: text(),
            explanation: Explanation {
                summary: text(),
                baseline: text(),
                parts: vec![Part {
                    name: "burst".to_owned(),
                    text: text(),
                    share: 1.0,
                }],
            },
            samples: vec![Sample {
                timestamp: at,
                level: Level::Error,
                message: text(),
                trace_id: None,
                partition: 0,
                offset: 7,
            }],
            evidence: Evidence {
                topic: "app-logs".to_owned(),
                incarnation: "0".to_owned(),
                partition: 0,
                first_offset: 7,
                last_offset: 7,
            },
            more_evidence: Vec::new(),
            services: Vec::new(),
            incident_id: None,
            traceparent: None,
        }
    }

    #[test]
    fn it_becomes_smaller_until_only_what_was_found_is_left() {
        let whole = anomaly(1 << 20);
        let mut message = Kept {
            topic: "anomalies".to_owned(),
            key: None,
            payload: Some(serde_json::to_vec(&whole).unwrap()),
            headers: Vec::new(),
        };
        let mut sizes = vec![message.payload.as_ref().unwrap().len()];
        while shorten(&mut message) {
            sizes.push(message.payload.as_ref().unwrap().len());
        }
        assert!(sizes.is_sorted_by(|one, next| one > next), "{sizes:?}");
        assert!(*sizes.last().unwrap() < 2048, "{sizes:?}");
        let left: Anomaly = serde_json::from_slice(message.payload.as_ref().unwrap()).unwrap();
        assert_eq!(
            (left.id, left.version, left.score, &left.evidence),
            (whole.id, whole.version, whole.score, &whole.evidence)
        );
        assert!(left.title.starts_with('ä') && left.title.ends_with('…'));
    }

    #[test]
    fn what_is_no_anomaly_is_left_alone() {
        let mut message = Kept {
            topic: "anomalies".to_owned(),
            key: None,
            payload: Some(b"{}".to_vec()),
            headers: Vec::new(),
        };
        assert!(!shorten(&mut message));
    }
}
