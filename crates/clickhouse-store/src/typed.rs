//! The client of typed questions, with the deadlines of every other request ([`crate::deadline`]).

use std::time::Duration;

use hyper_rustls::HttpsConnectorBuilder;
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{Error, deadline::DEADLINES};

/// ClickHouse closes a connection that is idle for 3 s.
const IDLE: Duration = Duration::from_secs(2);

/// Its questions are small and its answers come at once or in pieces: reading has the deadline of an
/// answer, from one piece to the next.
pub(crate) fn client() -> Result<clickhouse::Client, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(|error| Error::Unexpected(format!("no root certificates: {error}")))?
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let mut connector = TimeoutConnector::new(tls);
    connector.set_connect_timeout(Some(DEADLINES.connect));
    connector.set_write_timeout(Some(DEADLINES.progress));
    connector.set_read_timeout(Some(DEADLINES.answer));
    let http = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .build(connector);
    Ok(clickhouse::Client::with_http_client(http))
}
