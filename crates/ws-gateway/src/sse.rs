//! `GET /api/v1/anomalies/stream`: the frames of the WebSocket as server-sent events.
//!
//! Each event is one frame; its id is a cursor, so that a browser which reconnects goes on by itself.
//! Heartbeats are comments, and carry an id too, which browsers take without an event.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use contracts::websocket::ServerFrame;
use tokio::time::Instant;

use crate::app::App;
use crate::clients::Client;
use crate::metrics::Transport;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::session::{Follower, Frame, Next, request};

pub async fn stream(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref(), &["since"], true)?;
    let filter = query.filter()?;
    // A browser that reconnects asks with the old address and the newer id.
    let last_id = headers.get("last-event-id").map(|id| id.to_str());
    let since = match last_id {
        None | Some(Ok("")) => query.text("since").map(request::cursor).transpose()?,
        Some(id) => Some(request::last_event_id(id.unwrap_or_default())),
    };
    if !app.log.read().is_loaded() {
        return Err(Refusal::starting());
    }
    let client = app
        .clients
        .admit(Transport::Sse)
        .ok_or_else(Refusal::full)?;
    let mut session = Follower::new(Arc::clone(&app.log), app.queue);
    let mut first = VecDeque::from([session.hello()]);
    first.extend(session.subscribe(filter, since));
    let ping_at = Instant::now() + app.timing.ping_every;
    let events = Events {
        session,
        first,
        ping_at,
        app,
        _client: client,
    };
    let body = futures::stream::unfold(events, async |mut events| {
        let event = events.next().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx gathers an answer before it passes it on, unless told not to.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

struct Events {
    session: Follower,
    first: VecDeque<ServerFrame>,
    ping_at: Instant,
    app: Arc<App>,
    _client: Client,
}

impl Events {
    /// Asked for when the connection takes it. `None`: the service stops.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.app.tasks.is_stopping() {
                return None;
            }
            let next = match self.first.pop_front() {
                Some(frame) => Next::Frame(Frame::Other(frame)),
                None => self.session.pull(),
            };
            match next {
                Next::Frame(frame) => return Some(self.event(frame)),
                Next::Busy => tokio::task::yield_now().await,
                Next::Idle => tokio::select! {
                    () = self.app.tasks.stopping() => return None,
                    () = self.session.heard() => {}
                    () = tokio::time::sleep_until(self.ping_at) => return Some(self.heartbeat()),
                },
            }
        }
    }

    fn event(&self, frame: Frame) -> Bytes {
        let (id, shared) = match &frame {
            Frame::Anomaly {
                entry,
                cursor: None,
                ..
            } => (None, Some(entry.event())),
            Frame::Anomaly {
                cursor: Some(cursor),
                ..
            } => (Some(cursor.to_string()), None),
            Frame::Other(
                ServerFrame::Subscribed { cursor } | ServerFrame::Lagged { cursor, .. },
            ) => (Some(cursor.clone()), None),
            // The newest place, where this client is not yet.
            Frame::Other(_) => (None, None),
        };
        let text = self.app.text_of(Transport::Sse, frame);
        match (shared, id) {
            (Some(event), _) => event,
            (None, Some(id)) => format!("id: {id}\ndata: {}\n\n", text.as_str()).into(),
            (None, None) => format!("data: {}\n\n", text.as_str()).into(),
        }
    }

    fn heartbeat(&mut self) -> Bytes {
        self.ping_at = Instant::now() + self.app.timing.ping_every;
        match self.session.cursor() {
            Some(cursor) => format!(": ping\nid: {cursor}\n\n").into(),
            None => Bytes::from_static(b": ping\n\n"),
        }
    }
}
