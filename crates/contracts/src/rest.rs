//! Answers of the REST API under `/api/v1`.

use serde::{Deserialize, Serialize};

use crate::{Anomaly, Timestamp};

/// `GET /api/v1/anomalies`: the newest version of each, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AnomaliesPage {
    pub anomalies: Vec<Anomaly>,
    /// Subscribe with this to go on where the page ends.
    pub cursor: String,
}

/// `GET /api/v1/volume`: records and errors per bucket of event time, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Volume {
    pub bucket_seconds: u32,
    /// Buckets without a record are absent.
    pub points: Vec<VolumePoint>,
    pub services: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct VolumePoint {
    pub t: Timestamp,
    pub records: u64,
    pub errors: u64,
}

/// `GET /api/v1/summary`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Summary {
    pub records: u64,
    pub errors: u64,
    pub services: u64,
    pub open_anomalies: u64,
    pub dead_lettered: u64,
}

/// Every error of the API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiError {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub message: String,
}
