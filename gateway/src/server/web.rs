//! The HTTP listener.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{ServerError, settings::address};
use crate::config::Config;

/// Listens, but does not answer yet.
pub(super) async fn bind(config: &Config) -> Result<TcpListener, ServerError> {
    let listen = address(&config.http.listen)?;
    TcpListener::bind(listen)
        .await
        .map_err(|source| ServerError::Listen {
            address: listen.to_string(),
            source,
        })
}

/// Where it listens.
pub(super) fn local(listener: &TcpListener) -> Result<SocketAddr, ServerError> {
    listener
        .local_addr()
        .map_err(|error| ServerError::Failed(error.to_string()))
}

/// Answers until `stop`; requests under way are finished.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the HTTP listener ended");
    }
}
