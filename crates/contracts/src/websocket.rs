//! Frames of `/ws/anomalies`, subprotocol `barograph.v1`. The SSE stream carries the same ones.

use serde::{Deserialize, Serialize};

use crate::{Anomaly, Severity};

pub const SUBPROTOCOL: &str = "barograph.v1";

/// From the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum ServerFrame {
    /// First frame. `cursor` is the newest place in the stream.
    Hello {
        cursor: String,
        server: String,
        version: String,
    },
    /// The subscription stands; what matches from here on follows.
    Subscribed {
        cursor: String,
    },
    Anomaly {
        cursor: String,
        anomaly: Box<Anomaly>,
        #[serde(default)]
        traceparent: Option<String>,
    },
    /// The client did not read fast enough, and this many anomalies were left out for it.
    /// Resume from `cursor` to get them.
    Lagged {
        missed: u64,
        cursor: String,
    },
    /// The cursor is older than what is kept, or is none of this topic: of another one, past its end,
    /// of another version of the server. `missed` is unknown then. The stream goes on with all that is kept.
    Gone {
        missed: Option<u64>,
    },
    /// Comes now and then. The cursor covers what the filter left out, so that a client which sees
    /// little does not come back with an old one.
    Ping {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    Error {
        code: String,
        message: String,
    },
}

/// From the client.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum ClientFrame {
    /// Replaces an earlier subscription. Without `since`: from now on.
    Subscribe {
        #[serde(default)]
        filter: Filter,
        #[serde(default)]
        since: Option<String>,
    },
    Pong,
}

/// What a client wants to see. Empty lists and an empty text let everything pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Filter {
    pub services: Vec<String>,
    pub kinds: Vec<String>,
    pub min_severity: Severity,
    /// Found in title, service or a sample line, in any case.
    pub text: String,
}

impl Filter {
    pub fn matches(&self, anomaly: &Anomaly) -> bool {
        let among = |wanted: &[String], value: &str| {
            wanted.is_empty() || wanted.iter().any(|one| one == value)
        };
        anomaly.severity >= self.min_severity
            && among(&self.kinds, &anomaly.kind)
            && (among(&self.services, &anomaly.service)
                || anomaly
                    .services
                    .iter()
                    .any(|service| self.services.contains(service)))
            && self.text_matches(anomaly)
    }

    fn text_matches(&self, anomaly: &Anomaly) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let wanted = self.text.to_lowercase();
        let found = |text: &str| text.to_lowercase().contains(&wanted);
        found(&anomaly.title)
            || found(&anomaly.service)
            || anomaly.samples.iter().any(|sample| found(&sample.message))
    }
}
