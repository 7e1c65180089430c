//! Connections on which the requests of many callers are written together, plain or over TLS.

use std::time::Duration;

use coalesce::Coalesced;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tls::{AuthoritiesError, Http, Known};
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;

/// A connection that is made when it is first needed, and again when it is lost.
pub(crate) fn channel(
    endpoint: &Endpoint,
    known: Known,
    connect_timeout: Duration,
) -> Result<Channel, AuthoritiesError> {
    if known == Known::ByNothing {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let coalesced =
            tcp.map_response(|stream| TokioIo::new(Coalesced::new(stream.into_inner())));
        return Ok(endpoint.connect_with_connector_lazy(coalesced));
    }
    let tls = tls::connector(known, Http::Two, connect_timeout)?;
    let coalesced = tls.map_response(|stream| TokioIo::new(Coalesced::new(TokioIo::new(stream))));
    Ok(endpoint.connect_with_connector_lazy(coalesced))
}
