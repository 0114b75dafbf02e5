//! `GET /ws/anomalies`.
//!
//! One small task a client: its place in the log, and at most one frame on its way out. A frame is
//! pulled only when the socket takes it, so that a client which does not read holds up itself alone.
//!
//! Invariant: nothing is buffered for a client but the frame being written and a few short answers.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use contracts::websocket::{SUBPROTOCOL, ServerFrame};
use futures::{Sink, SinkExt, StreamExt};
use tokio::time::Instant;

use crate::app::App;
use crate::clients::Client;
use crate::metrics::Transport;
use crate::refusal::Refusal;
use crate::session::{Follower, Frame, Next, Request, request};

/// Largest frame that a client may send.
const MOST_FROM_CLIENT: usize = 64 * 1024;
/// Bad frames after which the connection is closed.
const MOST_ERRORS: u32 = 16;
/// Frames up to so many bytes together go out in one packet: a ping and its twin, first answers.
/// Beyond that, only what does not fit into the socket waits.
const SMALL: usize = 512;
/// Answers that may wait; beyond that nothing more is read from the client.
const MOST_ANSWERS: usize = 8;

// RFC 6455, 7.4.1.
const GOING_AWAY: u16 = 1001;
const PROTOCOL: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const NOT_UTF8: u16 = 1007;
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;

pub async fn upgrade(
    State(app): State<Arc<App>>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    if !app.log.read().is_loaded() {
        return Err(Refusal::starting());
    }
    let client = app
        .clients
        .admit(Transport::WebSocket)
        .ok_or_else(Refusal::full)?;
    Ok(upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(1024)
        .write_buffer_size(SMALL)
        .max_message_size(MOST_FROM_CLIENT)
        .max_frame_size(MOST_FROM_CLIENT)
        .on_upgrade(move |socket| Connection::new(socket, app, client).run()))
}

struct Connection {
    socket: WebSocket,
    app: Arc<App>,
    client: Client,
    session: Follower,
    answers: VecDeque<ServerFrame>,
    /// The session has nothing until it hears of something.
    is_idle: bool,
    /// The socket did not take everything; when it does, the other side has read.
    is_blocked: bool,
    heard: Instant,
    ping_at: Instant,
    is_ping_due: bool,
    errors: u32,
}

enum Event {
    Received(Option<Result<Message, axum::Error>>),
    Writable(Result<(), axum::Error>),
    Tick,
    Stopping,
}

/// Why a connection ends.
enum End {
    /// The connection broke.
    Gone,
    /// The client says that it goes.
    Leaving,
    Close(u16, &'static str),
}

impl Connection {
    fn new(socket: WebSocket, app: Arc<App>, client: Client) -> Self {
        let now = Instant::now();
        // Clients that came together are not pinged together.
        let spread = app
            .timing
            .ping_every
            .mul_f64((client.number % 64) as f64 / 128.0);
        let ping_at = now + app.timing.ping_every - spread;
        Self {
            session: Follower::new(Arc::clone(&app.log), app.queue),
            answers: VecDeque::new(),
            is_idle: true,
            is_blocked: false,
            heard: now,
            ping_at,
            is_ping_due: false,
            errors: 0,
            socket,
            app,
            client,
        }
    }

    async fn run(mut self) {
        self.answers.push_back(self.session.hello());
        let app = Arc::clone(&self.app);
        let mut timer = pin!(tokio::time::sleep_until(self.tick_at()));
        let mut stopping = pin!(app.tasks.stopping());
        let end = loop {
            let event = tokio::select! {
                biased;
                () = &mut stopping => Event::Stopping,
                () = &mut timer => Event::Tick,
                event = poll_fn(|context| self.poll_socket(context)) => event,
            };
            let step = match event {
                Event::Received(message) => self.receive(message),
                Event::Writable(Ok(())) => self.send_next().await,
                Event::Writable(Err(_broken)) => Err(End::Gone),
                Event::Tick => {
                    let step = self.tick();
                    timer.as_mut().reset(self.tick_at());
                    step
                }
                Event::Stopping => Err(End::Close(GOING_AWAY, "going away")),
            };
            if let Err(end) = step {
                break end;
            }
        };
        let farewell = async {
            match end {
                End::Gone => {}
                End::Leaving => self.hear_out().await,
                End::Close(code, reason) => self.close(code, reason).await,
            }
        };
        // A client that does not take it is dropped without.
        let _ = tokio::time::timeout(app.timing.close_within, farewell).await;
        drop(self.client);
    }

    fn poll_socket(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.answers.len() < MOST_ANSWERS
            && let Poll::Ready(message) = self.socket.poll_next_unpin(context)
        {
            return Poll::Ready(Event::Received(message));
        }
        self.is_idle = self.is_idle && self.session.poll_heard(context).is_pending();
        let mut socket = std::pin::Pin::new(&mut self.socket);
        if self.answers.is_empty() && self.is_idle {
            // Pushes out what the socket did not take at first.
            return match socket.as_mut().poll_flush(context) {
                Poll::Ready(Err(error)) => Poll::Ready(Event::Writable(Err(error))),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            };
        }
        let ready = socket.poll_ready(context);
        if self.is_blocked && ready.is_ready() {
            self.heard = Instant::now();
        }
        self.is_blocked = ready.is_pending();
        ready.map(Event::Writable)
    }

    /// The socket takes a frame: answers first, then what the session has.
    async fn send_next(&mut self) -> Result<(), End> {
        if std::mem::take(&mut self.is_ping_due) {
            self.feed(Message::Ping(bytes::Bytes::new()))?;
            self.answers.push_back(self.session.ping());
            return Ok(());
        }
        let next = match self.answers.pop_front() {
            Some(answer) => Next::Frame(Frame::Other(answer)),
            None => self.session.pull(),
        };
        match next {
            Next::Frame(frame) => {
                let text = self.app.text_of(Transport::WebSocket, frame);
                self.feed(Message::Text(text))
            }
            Next::Idle => {
                self.is_idle = true;
                Ok(())
            }
            Next::Busy => {
                tokio::task::yield_now().await;
                Ok(())
            }
        }
    }

    fn feed(&mut self, message: Message) -> Result<(), End> {
        self.socket
            .start_send_unpin(message)
            .map_err(|_broken| End::Gone)
    }

    fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.heard = Instant::now();
        let answer = match message {
            None => return Err(End::Gone),
            Some(Ok(Message::Close(_))) => return Err(End::Leaving),
            Some(Err(error)) => return Err(end_for(&error)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => {
                return Err(End::Close(UNSUPPORTED, "send JSON as text"));
            }
            Some(Ok(Message::Text(text))) => request::read(&text),
        };
        match answer {
            Ok(Request::Pong) => {}
            Ok(Request::Subscribe { filter, since }) => {
                let frames = self.session.subscribe(filter, since);
                self.answers.extend(frames);
                self.is_idle = false;
            }
            Err(bad) => {
                self.errors += 1;
                if self.errors > MOST_ERRORS {
                    return Err(End::Close(POLICY, "too many bad frames"));
                }
                self.answers.push_back(ServerFrame::Error {
                    code: bad.code().to_owned(),
                    message: bad.to_string(),
                });
            }
        }
        Ok(())
    }

    fn tick_at(&self) -> Instant {
        self.ping_at.min(self.heard + self.app.timing.silent_for)
    }

    /// It may be early: what was heard since puts the end off.
    fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.heard + self.app.timing.silent_for {
            return Err(End::Close(POLICY, "nothing was heard for too long"));
        }
        if now < self.ping_at {
            return Ok(());
        }
        self.ping_at = now + self.app.timing.ping_every;
        // Sent when the socket takes it, behind what is on its way.
        self.is_ping_due = true;
        self.is_idle = false;
        Ok(())
    }

    /// Says why, and waits for the client to answer.
    async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
            self.hear_out().await;
        }
    }

    /// What is still said is not heeded; meanwhile the answer to a close goes out.
    async fn hear_out(&mut self) {
        while let Some(Ok(_late)) = self.socket.next().await {}
    }
}

/// What breaks the rules is told so; anything else is a broken connection. The library's error is of
/// a version that only axum knows, so it goes by its text.
fn end_for(error: &axum::Error) -> End {
    let text = error.to_string();
    let says = |words: &str| text.contains(words);
    if says("too long") || says("too big") {
        End::Close(TOO_BIG, "frame larger than 64 KiB")
    } else if says("UTF-8") {
        End::Close(NOT_UTF8, "not UTF-8")
    } else if says("protocol error") && !says("without closing handshake") {
        End::Close(PROTOCOL, "not as RFC 6455 has it")
    } else {
        End::Gone
    }
}
