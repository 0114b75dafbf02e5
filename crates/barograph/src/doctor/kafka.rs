//! Checks Kafka: does it answer, are the topics as the services need them, does the processor keep up.

use std::time::Duration;

use kafka_io::{
    Connection,
    topics::{self, TopicSpec},
};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::{
    finding::Finding,
    sample::{self, Keys},
};
use crate::place::{self, group_of_processor, topic_of_logs};

const AREA: &str = "kafka";
/// For the first question: is anybody there.
const FIRST_LIMIT: Duration = Duration::from_secs(5);
/// For the others; the first one about groups makes Kafka create a topic of its own.
const LIMIT: Duration = Duration::from_secs(20);
/// More records than a processor that keeps up leaves unread.
const LARGE_LAG: i64 = 100_000;

pub(crate) async fn check(brokers: &str) -> Vec<Finding> {
    let connection = Connection::plain(brokers);
    let logs = topic_of_logs();
    let layout = place::topics(1);

    let mut findings = {
        let (connection, layout) = (connection.clone(), layout.clone());
        in_background(move || reachable_and_partitions(&connection, &layout)).await
    };
    let answers = findings.first().is_some_and(|it| it.remedy.is_none());
    if !answers {
        return findings;
    }
    findings.extend(policies(&connection, &layout).await);
    findings.extend(in_background(move || use_of(&connection, &logs)).await);
    findings
}

/// The client's questions block.
async fn in_background(questions: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Vec<Finding> {
    tokio::task::spawn_blocking(questions)
        .await
        .unwrap_or_else(|error| vec![not_known("the broker's answers", &error)])
}

fn not_known(what: &str, error: &dyn std::fmt::Display) -> Finding {
    Finding::warning(
        AREA,
        format!("{what} could not be read: {error}"),
        "run the command again; if it stays, look at the broker's log",
    )
}

fn reachable_and_partitions(connection: &Connection, layout: &[TopicSpec]) -> Vec<Finding> {
    let brokers = &connection.brokers;
    let asked = connection
        .config()
        .create::<BaseConsumer>()
        .and_then(|client| client.fetch_metadata(None, FIRST_LIMIT));
    let metadata = match asked {
        Ok(metadata) => metadata,
        Err(error) => {
            return vec![Finding::wrong(
                AREA,
                format!("no answer from {brokers}: {error}"),
                "check that Kafka runs, and KAFKA_BROKERS",
            )];
        }
    };
    let count = metadata.brokers().len();
    let mut findings = vec![Finding::fine(
        AREA,
        format!("{count} broker(s) answer at {brokers}"),
    )];
    for TopicSpec { name, .. } in layout {
        let found = metadata.topics().iter().find(|topic| topic.name() == name);
        let partitions = found.map_or(0, |topic| topic.partitions().len());
        findings.push(if partitions == 0 {
            Finding::wrong(
                AREA,
                format!("topic {name} does not exist"),
                "`barograph up` creates it; elsewhere create it with cleanup.policy=delete",
            )
        } else {
            Finding::fine(AREA, format!("topic {name} has {partitions} partition(s)"))
        });
    }
    findings
}

async fn policies(connection: &Connection, layout: &[TopicSpec]) -> Vec<Finding> {
    match cleanup_policies(connection, layout).await {
        Ok(policies) => policies
            .iter()
            .filter_map(|(topic, policy)| judge_policy(topic, policy))
            .collect(),
        Err(error) => vec![not_known("the topics' settings", &error)],
    }
}

/// Of the topics that exist.
async fn cleanup_policies(
    connection: &Connection,
    layout: &[TopicSpec],
) -> Result<Vec<(String, String)>, KafkaError> {
    let admin: AdminClient<DefaultClientContext> = connection.config().create()?;
    let topics: Vec<_> = layout
        .iter()
        .map(|topic| ResourceSpecifier::Topic(&topic.name))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(LIMIT));
    let answers = admin.describe_configs(&topics, &options).await?;
    let policies = layout.iter().zip(answers).filter_map(|(topic, answer)| {
        let answer = answer.ok()?;
        let policy = answer.get("cleanup.policy")?.value.clone()?;
        Some((topic.name.clone(), policy))
    });
    Ok(policies.collect())
}

fn judge_policy(topic: &str, policy: &str) -> Option<Finding> {
    if policy == "delete" {
        return None;
    }
    Some(Finding::wrong(
        AREA,
        format!(
            "topic {topic} has cleanup.policy={policy}: Kafka removes all but the newest record of a key"
        ),
        format!(
            "kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy=delete"
        ),
    ))
}

/// Keys of the newest records, and how far the processor is behind.
fn use_of(connection: &Connection, topic: &str) -> Vec<Finding> {
    let watermarks = match topics::offsets(connection, topic, LIMIT) {
        Ok(watermarks) => watermarks,
        // That it is missing has been said.
        Err(kafka_io::Error::Topic { .. }) => return Vec::new(),
        Err(error) => return vec![not_known(&format!("offsets of {topic}"), &error)],
    };
    let keys = match sample::keys(&connection.brokers, topic, &watermarks) {
        Ok(keys) => judge_keys(topic, keys),
        Err(error) => not_known(&format!("the newest records of {topic}"), &error),
    };
    let group = group_of_processor();
    let lag = match committed(connection, &group, topic, watermarks.len()) {
        Ok(committed) => judge_lag(&group, topic, &watermarks, &committed),
        Err(error) => not_known(&format!("the offsets of group {group}"), &error),
    };
    vec![keys, lag]
}

fn judge_keys(topic: &str, keys: Keys) -> Finding {
    let Keys { seen, without_key } = keys;
    if seen == 0 {
        return Finding::fine(AREA, format!("topic {topic} has no records yet"));
    }
    if without_key == 0 {
        let what = format!("the newest {seen} records of {topic} have keys");
        return Finding::fine(AREA, what);
    }
    let percent = (without_key * 100).div_ceil(seen);
    Finding::warning(
        AREA,
        format!("{percent}% of the newest {seen} records of {topic} have no key"),
        "let producers key their records by service, so that a service's lines stay in one partition \
         and in order",
    )
}

/// Committed offset of each partition, in order; `None` where there is none.
fn committed(
    connection: &Connection,
    group: &str,
    topic: &str,
    partitions: usize,
) -> Result<Vec<Option<i64>>, KafkaError> {
    let client: BaseConsumer = connection.config().set("group.id", group).create()?;
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_range(topic, 0, partitions as i32 - 1);
    let found = client.committed_offsets(wanted, LIMIT)?;
    Ok(found
        .elements()
        .iter()
        .map(|partition| match partition.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
        .collect())
}

fn judge_lag(
    group: &str,
    topic: &str,
    watermarks: &[(i64, i64)],
    committed: &[Option<i64>],
) -> Finding {
    let lag: i64 = watermarks
        .iter()
        .zip(committed)
        .map(|((first, next), committed)| (next - committed.unwrap_or(*first)).max(0))
        .sum();
    if lag > 0 && committed.iter().all(Option::is_none) {
        return Finding::warning(
            AREA,
            format!("group {group} has never committed, and {topic} has {lag} records"),
            "check that the processor runs, and KAFKA_GROUP_ID",
        );
    }
    let what = format!("group {group} is {lag} records behind on {topic}");
    if lag > LARGE_LAG {
        return Finding::warning(
            AREA,
            what,
            "look again in a minute; if it grows, the processor is down or needs more partitions and \
             another instance",
        );
    }
    Finding::fine(AREA, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    #[test]
    fn lag_counts_from_the_first_offset_where_nothing_was_committed() {
        let watermarks = [(100, 300), (0, 50)];
        let finding = judge_lag("group", "app-logs", &watermarks, &[None, Some(20)]);
        assert_eq!(
            finding.what,
            "group group is 230 records behind on app-logs"
        );
        assert_eq!(finding.verdict, Verdict::Fine);
    }

    #[test]
    fn a_group_that_never_committed_is_said() {
        let finding = judge_lag("group", "app-logs", &[(0, 5)], &[None]);
        assert_eq!(finding.verdict, Verdict::Warning);
        let finding = judge_lag("group", "app-logs", &[(0, 0)], &[None]);
        assert_eq!(finding.verdict, Verdict::Fine);
    }

    #[test]
    fn a_topic_that_loses_records_by_key_is_wrong() {
        assert_eq!(judge_policy("app-logs", "delete"), None);
        let finding = judge_policy("app-logs", "compact,delete").unwrap();
        assert_eq!(finding.verdict, Verdict::Wrong);
    }

    #[test]
    fn a_single_record_without_key_is_not_rounded_away() {
        let keys = Keys {
            seen: 400,
            without_key: 1,
        };
        let finding = judge_keys("app-logs", keys);
        assert_eq!(finding.verdict, Verdict::Warning);
        assert!(finding.what.starts_with("1% of"), "{}", finding.what);
    }
}
