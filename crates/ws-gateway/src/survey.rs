//! Looks at the topic: which one it is, and what it holds.

use std::sync::Arc;
use std::time::Duration;

use kafka_io::{
    refusal::{self, Asker},
    topic_id, topics,
};

/// Per call to the brokers.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The topic as it is now.
#[derive(Debug, Clone)]
pub struct Survey {
    /// First half of the id that Kafka gave it.
    pub topic: u64,
    /// First and next offset of each partition.
    pub watermarks: Vec<(i64, i64)>,
}

impl Survey {
    /// Next offset of each partition.
    pub fn ends(&self) -> Vec<i64> {
        self.watermarks.iter().map(|(_, high)| *high).collect()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error("the topic does not exist yet")]
    Missing,
    #[error("no broker answers: {0}")]
    Away(String),
    #[error("{0}")]
    Refused(String),
}

impl SurveyError {
    /// The same text for as long as the same is the matter.
    pub fn reason(&self) -> &str {
        match self {
            Self::Missing => "the topic of anomalies does not exist yet",
            Self::Away(_) => "kafka does not answer",
            Self::Refused(why) => why,
        }
    }
}

pub async fn survey(client: Arc<Asker>, topic: String) -> Result<Survey, SurveyError> {
    let looked = tokio::task::spawn_blocking(move || look(&client, &topic));
    looked
        .await
        .unwrap_or_else(|error| Err(SurveyError::Away(error.to_string())))
}

fn look(client: &Asker, topic: &str) -> Result<Survey, SurveyError> {
    let away = |error: &dyn std::fmt::Display| match refusal::of(client) {
        Some(why) => SurveyError::Refused(why),
        None => SurveyError::Away(error.to_string()),
    };
    let watermarks = topics::watermarks(client, topic, ANSWER_WITHIN)
        .map_err(|error| away(&error))?
        .ok_or(SurveyError::Missing)?;
    let id = topic_id::fetch(client, topic, ANSWER_WITHIN).map_err(|error| away(&error))?;
    refusal::forget(client);
    Ok(Survey {
        topic: id.as_u64_pair().0,
        watermarks,
    })
}
