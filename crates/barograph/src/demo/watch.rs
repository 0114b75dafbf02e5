//! A WebSocket client of the demo's own: what arrives counts as received.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use contracts::{Anomaly, websocket::Filter};

use command_kit::stream::{Follower, News};

/// One frame, and when it came, ms since the epoch.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) anomaly: Anomaly,
    pub(super) at: i64,
}

pub(super) struct Watch {
    frames: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    /// Returns once the connection stands.
    pub(super) async fn start(gateway: &str) -> anyhow::Result<Self> {
        let mut follower = Follower::new(gateway, Filter::default(), None);
        let connected = tokio::time::timeout(Duration::from_secs(20), async {
            while !matches!(follower.next().await?, News::Connected) {}
            anyhow::Ok(())
        });
        connected
            .await
            .context("no WebSocket connection within 20 s")??;
        let frames = Arc::new(Mutex::new(Vec::new()));
        let inbox = frames.clone();
        let task = tokio::spawn(async move {
            while let Ok(news) = follower.next().await {
                if let News::Anomaly(anomaly) = news {
                    let received = Received {
                        anomaly: *anomaly,
                        at: now(),
                    };
                    inbox
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(received);
                }
            }
        });
        Ok(Self { frames, task })
    }

    pub(super) fn received(&self) -> usize {
        self.frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub(super) fn frames(&self) -> Vec<Received> {
        self.frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
