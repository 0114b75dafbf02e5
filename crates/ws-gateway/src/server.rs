//! Serves clients until the service stops.

use std::convert::Infallible;
use std::time::Duration;

use service_kit::Tasks;
use service_kit::http::Server;
use tokio::net::TcpListener;

use crate::clients::Clients;

/// For clients to be told and to go, once the service stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(4);

/// Ends when the service stops and the clients are gone, or did not go in time.
pub async fn serve(
    listener: TcpListener,
    server: Server,
    clients: Clients,
    tasks: Tasks,
) -> Result<(), Infallible> {
    server.serve(listener, Some(tasks)).await;
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
