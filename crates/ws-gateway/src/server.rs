//! Accepts connections and serves them until the service stops.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use service_kit::Tasks;
use tokio::net::{TcpListener, TcpStream};

use crate::clients::Clients;

/// A client that takes longer to say what it wants is hung up on.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// What one connection may buffer; answers to many clients add up.
const MOST_BUFFERED: usize = 32 * 1024;
/// After an error such as "too many open files", which time may mend.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// For clients to be told and to go, once the service stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(4);

/// Ends when the service stops and the clients are gone, or did not go in time.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    clients: Clients,
    tasks: Tasks,
) -> Result<(), io::Error> {
    loop {
        tokio::select! {
            () = tasks.stopping() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _address)) => {
                    tokio::spawn(serve_one(stream, router.clone(), tasks.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
            },
        }
    }
    drop(listener);
    let connected = clients.connected();
    if tokio::time::timeout(DRAIN_WITHIN, clients.gone())
        .await
        .is_err()
    {
        let left = clients.connected();
        tracing::warn!(
            connected,
            left,
            "clients did not take the close and are dropped"
        );
    }
    Ok(())
}

async fn serve_one(stream: TcpStream, router: Router, tasks: Tasks) {
    // Frames are small and late ones are worth little: not held back to be gathered.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MOST_BUFFERED)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
