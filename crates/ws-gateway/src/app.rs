//! What every request and every client sees of the gateway, and its routes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::ws::Utf8Bytes;
use axum::middleware;
use axum::routing::get;
use contracts::websocket::ServerFrame;
use service_kit::Tasks;

use crate::clients::Clients;
use crate::log::{Entry, SharedLog};
use crate::metrics::{Metrics, Transport};
use crate::origin::AllowedOrigins;
use crate::session::Frame;
use crate::stored::Stored;
use crate::{assets, origin, rest, sse, ws};

/// When a silent connection is asked, and when it is given up.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub ping_every: Duration,
    pub silent_for: Duration,
    /// How long a client has to answer a close frame.
    pub close_within: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_secs(15),
            silent_for: Duration::from_secs(45),
            close_within: Duration::from_secs(2),
        }
    }
}

pub struct App {
    pub log: Arc<SharedLog>,
    pub clients: Clients,
    pub metrics: Metrics,
    pub stored: Stored,
    pub allowed_origins: Option<AllowedOrigins>,
    /// Matching frames that a client may be behind.
    pub queue: usize,
    pub timing: Timing,
    pub tasks: Tasks,
}

pub fn router(app: Arc<App>) -> Router {
    let only_our_pages = middleware::from_fn_with_state(Arc::clone(&app), origin::guard);
    Router::new()
        .route("/ws/anomalies", get(ws::upgrade))
        .route("/api/v1/anomalies/stream", get(sse::stream))
        .merge(rest::router())
        .route_layer(only_our_pages)
        .fallback(assets::serve)
        .with_state(app)
}

impl App {
    /// The frame as text, counted as sent.
    pub fn text_of(&self, transport: Transport, frame: Frame) -> Utf8Bytes {
        let text = match frame {
            Frame::Anomaly {
                entry,
                text,
                is_live,
                ..
            } => {
                if is_live {
                    self.observe_delivery(&entry);
                }
                text
            }
            Frame::Other(frame) => {
                if let ServerFrame::Lagged { missed, .. } = &frame {
                    self.metrics.lagged.inc();
                    self.metrics.missed.inc_by(*missed);
                }
                text_of(&frame)
            }
        };
        self.metrics.frames.at(transport).inc();
        self.metrics.bytes.at(transport).inc_by(text.len() as u64);
        text
    }

    fn observe_delivery(&self, entry: &Entry) {
        let published = u64::try_from(entry.facts.published_at.as_millis()).unwrap_or(0);
        let published = SystemTime::UNIX_EPOCH + Duration::from_millis(published);
        // Clocks differ between machines: published in the future is now.
        let age = published.elapsed().unwrap_or_default();
        self.metrics.delivery.observe(age.as_secs_f64());
    }
}

fn text_of(frame: &ServerFrame) -> Utf8Bytes {
    match serde_json::to_string(frame) {
        Ok(text) => text.into(),
        Err(error) => {
            // Strings and numbers only: there is nothing in it that JSON refuses.
            tracing::error!(%error, "a frame cannot be written");
            Utf8Bytes::default()
        }
    }
}
