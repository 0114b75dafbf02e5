//! What a stack is asked to be.
//!
//! Invariant: the defaults need nothing but the requirements; every value can be chosen otherwise.

use std::path::PathBuf;

use crate::{
    StackError, cache,
    kafka::KafkaSettings,
    ports::{Claim, Ports},
};

#[derive(Debug, Clone)]
pub struct StackConfig {
    /// Everything a stack stores, and its logs.
    pub data_dir: PathBuf,
    /// What is fetched once for all stacks.
    pub cache_dir: PathBuf,
    pub ports: Ports,
    /// Ports that others will need; checked before anything starts.
    pub claims: Vec<Claim>,
    /// Programs of the product that will be spawned; looked for before anything starts.
    pub programs: Vec<String>,
    pub user: String,
    /// ClickHouse's; without one, it is made up and kept in the data directory.
    pub password: Option<String>,
    pub database: String,
    pub kafka: KafkaSettings,
    /// Forget what an earlier stack stored in the data directory.
    pub fresh: bool,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".barograph"),
            cache_dir: cache::default_dir(),
            ports: Ports::default(),
            claims: Vec::new(),
            programs: Vec::new(),
            user: "barograph".to_owned(),
            password: None,
            database: "barograph".to_owned(),
            kafka: KafkaSettings::default(),
            fresh: false,
        }
    }
}

impl StackConfig {
    /// For a stack beside others: free ports, its own directory.
    pub fn on_free_ports(data_dir: impl Into<PathBuf>) -> Result<Self, StackError> {
        Ok(Self {
            data_dir: data_dir.into(),
            ports: Ports::free()?,
            ..Self::default()
        })
    }
}
