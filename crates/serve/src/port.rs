//! The open port: connections in, requests to the stack, and a graceful end.

mod first_bytes;

mod places;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coalesce::Coalesced;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::body::Body;
use crate::identity::Identity;
use crate::metrics::{Requests, Unserved};
use base::clock::Clock;
use base::tasks::Supervisor;

use first_bytes::{Begun, Speaks};
use places::{Place, Places};

/// Connections that may wait in the system's queue to be accepted; the system may allow fewer. A
/// client that finds the queue full tries again a second later. With room for 128 that happened to
/// some of 256 clients that came at once.
const QUEUE_CONNECTIONS_MAX: u32 = 4_096;
/// How long the port waits after it failed to accept a connection. An earlier attempt would find
/// the same lack of open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a client may send of one call, and of all calls of a connection, before it must wait.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// Calls of one HTTP/2 connection at a time.
const CONNECTION_STREAMS_MAX: u32 = 1_024;
/// How long a connection may take to say its protocol, a TLS handshake included, and how long an
/// HTTP/1 client may take to send its headers. Nothing else bounds these, and a silent connection
/// holds a place that others need.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to
/// answer. A client that is gone without closing its connection must not hold its place.
const ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How a port is opened, and what it takes.
#[derive(Clone, Debug)]
pub struct PortOptions {
    /// The first of these that can be opened.
    pub listen: Vec<SocketAddr>,
    /// Connections open at a time; one beyond is closed at once.
    pub connections_max: usize,
    /// Connections open at a time from one client's address; one beyond is closed at once.
    pub connections_per_address_max: usize,
    /// Bytes of a request's headers.
    pub header_bytes_max: usize,
    /// How long requests in flight may take to end after a stop.
    pub shutdown_timeout: Duration,
}

/// The open port.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
    places: Arc<Places>,
    /// Where connections that are not served are counted.
    counts: Arc<Requests>,
    header_bytes_max: usize,
    header_timeout: Duration,
    shutdown_timeout: Duration,
    stopping: CancellationToken,
    clock: Arc<dyn Clock>,
    /// The key for TLS; without it the port speaks no TLS.
    identity: Option<Identity>,
}

impl Port {
    /// Opens the port, within a tokio runtime; connections are taken once it is served.
    pub fn open(
        options: &PortOptions,
        counts: Arc<Requests>,
        stopping: &CancellationToken,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let listener = listen(&options.listen)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            places: Arc::new(Places::new(
                options.connections_max,
                options.connections_per_address_max,
            )),
            counts,
            header_bytes_max: options.header_bytes_max,
            header_timeout: HEADER_TIMEOUT,
            shutdown_timeout: options.shutdown_timeout,
            stopping: stopping.clone(),
            clock,
            identity: None,
        })
    }

    /// Speaks TLS as well, to clients that begin with it.
    #[must_use]
    pub fn with_tls(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until the server stops, or until accepting panics, which ends the process; then lets
    /// requests in flight end.
    pub async fn serve<S>(self, stack: S, supervisor: Supervisor)
    where
        S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
    {
        let graceful = GracefulShutdown::new();
        let accept = self.accept_all(&graceful, stack, &supervisor);
        // The supervisor says that the process must end.
        let _accepted = supervisor.vitally("listener", accept).await;
        drop(self.listener);
        let ended = self.clock.timeout(self.shutdown_timeout, graceful.shutdown()).await;
        if ended.is_err() {
            tracing::warn!("requests in flight did not end in time");
        }
    }

    async fn accept_all<S>(&self, graceful: &GracefulShutdown, stack: S, supervisor: &Supervisor)
    where
        S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
    {
        let builder = connection_builder(self.header_bytes_max, self.header_timeout);
        while let Some((stream, place)) = self.next().await {
            // Small answers must not wait for the acknowledgement of the ones before.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps Nagle's algorithm");
            }
            let service = TowerToHyperService::new(stack.clone());
            let (builder, watcher) = (builder.clone(), graceful.watcher());
            let conversation = Conversation { builder, watcher, service };
            let tls = self.identity.as_ref().map(Identity::acceptor);
            let stopping = self.stopping.clone();
            let (header_timeout, clock) = (self.header_timeout, Arc::clone(&self.clock));
            drop(supervisor.task("connection", async move {
                let begun = clock.timeout(header_timeout, begin(stream, tls));
                match stopping.run_until_cancelled(begun).await {
                    Some(Ok(Ok(Some(Opened::Plain(speaks, stream))))) => {
                        conversation.over(speaks, stream).await;
                    }
                    Some(Ok(Ok(Some(Opened::Tls(speaks, stream))))) => {
                        Box::pin(conversation.over(speaks, stream)).await;
                    }
                    Some(Ok(Err(error))) => tracing::debug!(%error, "a connection did not begin"),
                    Some(Ok(Ok(None)) | Err(_)) | None => {}
                }
                drop(place);
            }));
        }
    }

    /// The next connection that has a place, `None` once the server stops.
    async fn next(&self) -> Option<(TcpStream, Place)> {
        let accept = async {
            loop {
                let (stream, address) = self.accept().await;
                // We close an excess connection and do not leave it in the system's queue: the
                // queue would fill with connections that nobody answers. We log none of them:
                // clients could fill the disk with log lines.
                match self.places.take(address.ip()) {
                    Ok(place) => return (stream, place),
                    Err(reason) => self.counts.unserved(reason),
                }
            }
        };
        self.stopping.run_until_cancelled(accept).await
    }

    /// The next connection. Of failures in a row only the first is logged.
    async fn accept(&self) -> (TcpStream, SocketAddr) {
        let mut failing = false;
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    self.counts.unserved(Unserved::NotAccepted);
                    if !failing {
                        tracing::warn!(%error, "a connection was not accepted; it is tried again");
                    }
                    failing = true;
                    self.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// A connection that has said what it speaks.
enum Opened {
    Plain(Speaks, Begun<TcpStream>),
    /// What TLS needs is in boxes, here and below, so that a plain connection stays small.
    Tls(Speaks, Box<Begun<TlsStream<Begun<TcpStream>>>>),
}

/// Waits until a connection says what it speaks, within TLS if it begins with TLS. `None` if the
/// connection ends first, or if it speaks TLS and the port has no key. Unbounded in time.
async fn begin(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Option<Opened>> {
    let Some((speaks, stream)) = first_bytes::arrive(stream).await? else { return Ok(None) };
    if speaks != Speaks::Tls {
        return Ok(Some(Opened::Plain(speaks, stream)));
    }
    let Some(tls) = tls else { return Ok(None) };
    let stream = Box::pin(tls.accept(stream)).await?;
    let within = Box::pin(first_bytes::arrive(stream)).await?;
    let once = within.filter(|(speaks, _)| *speaks != Speaks::Tls);
    Ok(once.map(|(speaks, stream)| Opened::Tls(speaks, Box::new(stream))))
}

/// What serves one connection.
struct Conversation<S> {
    builder: auto::Builder<TokioExecutor>,
    watcher: Watcher,
    service: TowerToHyperService<S>,
}

impl<S> Conversation<S>
where
    S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    /// Serves requests until either side ends.
    async fn over<T>(self, speaks: Speaks, stream: T)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = match speaks {
            Speaks::Http2 => Coalesced::new(stream),
            Speaks::Other | Speaks::Tls => Coalesced::passing(stream),
        };
        let connection = self.builder.serve_connection(TokioIo::new(stream), self.service);
        if let Err(error) = self.watcher.watch(connection.into_owned()).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Listens on the first address that can be opened; a name may have one that this machine does not
/// speak.
pub fn listen(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match listen_on(*address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait until the system has forgotten the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE_CONNECTIONS_MAX)
}

fn connection_builder(
    header_bytes_max: usize,
    header_timeout: Duration,
) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Twice the limit: headers that are somewhat over the limit get an answer that says so.
    let header_list = u32::try_from(header_bytes_max.saturating_mul(2)).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(ALIVE_INTERVAL)
        .keep_alive_timeout(ALIVE_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CONNECTION_STREAMS_MAX)
        .max_header_list_size(header_list);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(header_bytes_max.saturating_mul(2).max(64 * 1024));
    builder
}

#[cfg(test)]
mod tests;
