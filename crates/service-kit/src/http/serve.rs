//! Accepts connections and serves them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::hosts::Hosts;
use super::metrics::{Listener, Metrics, Refused};
use super::paced::{Paced, Unsent};
use super::places::{Place, Places};
use super::refusal::{Refusal, no_place};
use crate::lifecycle::Tasks;
use crate::metrics::Registry;

/// For a whole head of a request, from when the connection is open or the answer before was sent;
/// and for the other side to take something of what waits for it.
pub const WITHIN: Duration = Duration::from_secs(15);
/// What one connection may buffer of what it reads, and of answers.
const MOST_BUFFERED: usize = 32 * 1024;
/// Nothing here is sent to us in a body.
const MOST_BODY: u64 = 64 * 1024;
/// What the kernel holds for one connection. It takes twice as much; and left to itself megabytes.
const SEND_BUFFER: usize = 64 * 1024;
/// After "too many open files" and its like; then twice as long each time.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);
const ACCEPT_AGAIN_AT_LAST: Duration = Duration::from_secs(2);
/// Connections that are being told that there is no place. Further ones are closed without a word.
const BEING_REFUSED: usize = 32;
const REFUSED_WITHIN: Duration = Duration::from_secs(1);

/// How much strangers may take of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connections: usize,
    pub per_address: usize,
    /// Bytes of answers that wait for their readers, over all connections.
    pub unsent_bytes: usize,
    /// See [`WITHIN`].
    pub within: Duration,
}

/// A server before it serves. Clones serve the same way, and count apart.
#[derive(Clone)]
pub struct Server {
    listener: Listener,
    router: Router,
    hosts: Hosts,
    limits: Limits,
    metrics: Metrics,
}

/// What all connections share.
struct Shared {
    server: Server,
    places: Places,
    unsent: Arc<Unsent>,
    being_refused: Arc<Semaphore>,
}

impl Server {
    pub fn new(
        listener: Listener,
        router: Router,
        hosts: Hosts,
        limits: Limits,
        registry: &Registry,
    ) -> Self {
        Self {
            listener,
            router,
            hosts,
            limits,
            metrics: Metrics::new(registry),
        }
    }

    /// Serves until the tasks stop; for ever without them. Connections finish their answer then.
    pub async fn serve(self, listener: TcpListener, until: Option<Tasks>) {
        // Connections inherit it. Where the system does not allow it, they have its own size.
        let _ = sockopt::set_socket_send_buffer_size(listener.as_fd(), SEND_BUFFER);
        let Limits {
            connections,
            per_address,
            unsent_bytes,
            within,
        } = self.limits;
        let shared = Arc::new(Shared {
            places: Places::new(
                connections,
                per_address,
                self.listener,
                self.metrics.clone(),
            ),
            unsent: Arc::new(Unsent::new(unsent_bytes, within, self.metrics.clone())),
            being_refused: Arc::new(Semaphore::new(BEING_REFUSED)),
            server: self,
        });
        let mut stopping = pin!(stopping(until.as_ref()));
        let mut again_after = ACCEPT_AGAIN_AFTER;
        loop {
            let accepted = tokio::select! {
                () = &mut stopping => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    again_after = ACCEPT_AGAIN_AFTER;
                    shared.take(stream, address, until.clone());
                }
                // Gone before it was accepted: nothing is wrong here.
                Err(error) if is_of_the_other_side(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, ?again_after, "connections are not accepted");
                    tokio::select! {
                        () = &mut stopping => return,
                        () = tokio::time::sleep(again_after) => {}
                    }
                    again_after = (again_after * 2).min(ACCEPT_AGAIN_AT_LAST);
                }
            }
        }
    }
}

async fn stopping(until: Option<&Tasks>) {
    match until {
        Some(tasks) => tasks.stopping().await,
        None => std::future::pending().await,
    }
}

fn is_of_the_other_side(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

impl Shared {
    fn take(self: &Arc<Self>, stream: TcpStream, from: SocketAddr, until: Option<Tasks>) {
        match self.places.take(from.ip()) {
            Ok(place) => {
                tokio::spawn(Arc::clone(self).serve_one(stream, place, until));
            }
            Err(why) => {
                if let Ok(turn) = Arc::clone(&self.being_refused).try_acquire_owned() {
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(REFUSED_WITHIN, refuse(stream, why)).await;
                        drop(turn);
                    });
                }
            }
        }
    }

    async fn serve_one(self: Arc<Self>, stream: TcpStream, place: Place, until: Option<Tasks>) {
        let within = self.server.limits.within;
        // Frames are small and late ones are worth little: not held back to be gathered.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        // A machine that is gone answers nothing, also while only little is on its way to it.
        let millis = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        let _ = sockopt::set_tcp_user_timeout(stream.as_fd(), millis);
        let came_to = stream.local_addr().ok().map(|address| address.ip());
        let router = TowerToHyperService::new(self.server.router.clone());
        let service = service_fn(|request: Request<Incoming>| {
            let answer = match self.check(&request, came_to) {
                Ok(()) => Ok(router.call(request)),
                Err(refusal) => Err(refusal.into_response()),
            };
            async {
                match answer {
                    Ok(answer) => answer.await,
                    Err(refused) => Ok::<Response, Infallible>(refused),
                }
            }
        });
        let stream = Paced::new(stream, Arc::clone(&self.unsent), place);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(within)
            .max_buf_size(MOST_BUFFERED)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = stopping(until.as_ref()) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }

    fn check(
        &self,
        request: &Request<Incoming>,
        came_to: Option<std::net::IpAddr>,
    ) -> Result<(), Refusal> {
        let server = &self.server;
        server.hosts.check(request, came_to).inspect_err(|_| {
            server.metrics.refused.at(Refused::Host).inc();
        })?;
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > MOST_BODY) {
            return Err(Refusal::large_body(MOST_BODY));
        }
        Ok(())
    }
}

/// Says that there is no place, and reads what was sent: closed before, the answer may get lost.
async fn refuse(mut stream: TcpStream, why: Refused) -> io::Result<()> {
    stream.write_all(no_place(why).as_bytes()).await?;
    stream.shutdown().await?;
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}
