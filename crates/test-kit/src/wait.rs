//! Waiting for a condition, with a deadline.

use std::time::Duration;

use anyhow::bail;

/// Enough for anything on a busy machine with two cores.
pub const LONG: Duration = Duration::from_secs(90);

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer. An error of the condition ends the wait.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        if let Some(answer) = condition().await? {
            return Ok(answer);
        }
        if tokio::time::Instant::now() >= deadline {
            bail!("not within {} s: {what}", limit.as_secs());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
