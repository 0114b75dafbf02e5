//! The product as its users run it, on a real Kafka and a real ClickHouse.
//!
//! The programs under test are built by `cargo build --release --workspace --bins`. Most tests share
//! one stack, each in a space of its own; those that need a store to themselves start another.

use std::sync::Arc;

use test_kit::{Space, Stack};
use tokio::sync::{Semaphore, SemaphorePermit};

mod absence;
mod accounts;
mod anomalies;
mod components;
mod crashes;
mod isolation;
mod last_words;
mod member;
mod memory;
mod migrations;
mod offsets;
mod originals;
mod poison;
mod records;
mod recreated;
mod rejections;
mod repairs;
mod rules;
mod stalls;
mod stops;
mod templates;

/// What loads the machine runs one at a time, however many threads the tests have.
static HEAVY: Semaphore = Semaphore::const_new(1);

async fn heavy() -> anyhow::Result<SemaphorePermit<'static>> {
    Ok(HEAVY.acquire().await?)
}

async fn stack() -> anyhow::Result<Arc<Stack>> {
    Stack::shared(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))).await
}

async fn space(name: &str) -> anyhow::Result<Space> {
    stack().await?.space(name).await
}
