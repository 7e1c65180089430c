//! Syslog over TCP and TLS, on ports of its own (RFC 5424, RFC 5425, RFC 6587; RFC 3164 is taken too).
//!
//! The protocol has no acknowledgement: a sender that is disconnected does not know which of its last
//! messages arrived. All that can be done is done: what was read is recorded before more is read, so
//! that a log whose queue is full makes its senders wait, and a stop records what was read whole.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use audit_event::mapping::source_uri;
use audit_event::mapping::syslog::{Frame, Peer, Splitter, host_of, map};
use base::backoff::Backoff;
use base::clock::Clock;
use base::tasks::Supervisor;
use serve::identity::Identity;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::quarantine::Origin;
use crate::receive::Receive;
use crate::take::{Batch, Item};

/// Bytes of one message that are kept. RFC 5424 asks for 2,048 at least.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Bytes that are read, and recorded, at a time.
const READ_BYTES: usize = 64 * 1024;
/// How long a connection may be silent. A sender does not notice before its next message that its
/// connection was closed, and loses that message, so this is long.
const IDLE_TIMEOUT: Duration = Duration::from_hours(1);
/// How long a handshake of TLS may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the port waits after it failed to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The pauses before the same messages are recorded again that a log refused for now.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long connections may take to record what they have read when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The open ports.
#[derive(Debug)]
pub struct Syslog {
    ports: Vec<Port>,
    connections_max: usize,
}

#[derive(Debug)]
struct Port {
    listener: TcpListener,
    identity: Option<Identity>,
}

/// What every connection has.
#[derive(Clone)]
struct Connection {
    receive: Receive,
    stopping: CancellationToken,
    peer: IpAddr,
}

impl Syslog {
    /// No port yet; of all that will be open, so many connections are served at a time, and one beyond
    /// is closed at once.
    pub fn new(connections_max: usize) -> Self {
        Self { ports: Vec::new(), connections_max }
    }

    /// Opens a port on the first of these addresses that can be opened: with TLS if it has an identity.
    pub fn open(&mut self, listen: &[SocketAddr], identity: Option<Identity>) -> io::Result<()> {
        let listener = serve::port::listen(listen)?;
        self.ports.push(Port { listener, identity });
        Ok(())
    }

    /// Where it listens, in the order of [`Self::open`].
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.ports.iter().filter_map(|port| port.listener.local_addr().ok()).collect()
    }

    /// Takes messages until the server stops, then lets the connections end.
    pub async fn serve(
        self,
        receive: Receive,
        supervisor: Supervisor,
        stopping: CancellationToken,
    ) {
        let places = Arc::new(Semaphore::new(self.connections_max));
        let all = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        let clock = Arc::clone(receive.clock());
        let accepting: Vec<_> = self
            .ports
            .into_iter()
            .map(|port| {
                let (receive, places) = (receive.clone(), Arc::clone(&places));
                let accept = port.accept_all(receive, places, supervisor.clone(), stopping.clone());
                supervisor.task("syslog port", accept)
            })
            .collect();
        for accepting in accepting {
            // A panic was logged where it happened.
            drop(accepting.await);
        }
        let clock: &dyn Clock = &*clock;
        if clock.timeout(STOP_TIMEOUT, places.acquire_many(all)).await.is_err() {
            tracing::warn!("syslog connections did not end in time");
        }
    }
}

impl Port {
    async fn accept_all(
        self,
        receive: Receive,
        places: Arc<Semaphore>,
        supervisor: Supervisor,
        stopping: CancellationToken,
    ) {
        let acceptor = self.identity.as_ref().map(Identity::acceptor);
        let mut failing = false;
        loop {
            let accepted = stopping.run_until_cancelled(self.listener.accept()).await;
            match accepted {
                None => return,
                Some(Ok((stream, address))) => {
                    failing = false;
                    // One beyond is closed at once; a log line for each would fill the disk.
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let (receive, stopping) = (receive.clone(), stopping.clone());
                    let peer = address.ip().to_canonical();
                    let connection = Connection { receive, stopping, peer };
                    let served = connection.begin(stream, acceptor.clone(), place);
                    drop(supervisor.task("syslog connection", served));
                }
                Some(Err(error)) => {
                    if !failing {
                        tracing::warn!(%error, "a syslog connection was not accepted");
                    }
                    failing = true;
                    receive.clock().sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Connection {
    async fn begin(self, stream: TcpStream, tls: Option<TlsAcceptor>, place: OwnedSemaphorePermit) {
        match tls {
            None => self.converse(stream).await,
            Some(tls) => {
                let clock = Arc::clone(self.receive.clock());
                let clock: &dyn Clock = &*clock;
                let handshake = clock.timeout(HANDSHAKE_TIMEOUT, tls.accept(stream));
                match self.stopping.run_until_cancelled(handshake).await {
                    Some(Ok(Ok(stream))) => Box::pin(self.converse(stream)).await,
                    Some(Ok(Err(error))) => {
                        tracing::debug!(%error, "a syslog connection did not begin");
                    }
                    Some(Err(_)) | None => {}
                }
            }
        }
        drop(place);
    }

    /// Reads to the end, or until nothing comes any more, or until the server stops.
    async fn converse<S: AsyncRead + Unpin>(&self, mut stream: S) {
        let clock = Arc::clone(self.receive.clock());
        let clock: &dyn Clock = &*clock;
        let mut splitter = Splitter::new(FRAME_BYTES_MAX);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = clock.timeout(IDLE_TIMEOUT, stream.read(&mut buffer));
            let bytes = match self.stopping.run_until_cancelled(read).await {
                Some(Ok(Ok(bytes))) => bytes,
                Some(Ok(Err(error))) => {
                    tracing::debug!(%error, "a syslog connection broke off");
                    0
                }
                Some(Err(_)) => 0,
                // What came of a message that is not whole would be recorded as one that was cut.
                None => return,
            };
            if bytes == 0 {
                break;
            }
            splitter.push(&buffer[..bytes]);
            let frames: Vec<Frame> = std::iter::from_fn(|| splitter.next_frame()).collect();
            if !self.record(&frames).await {
                return;
            }
        }
        let last: Vec<Frame> = splitter.finish().into_iter().collect();
        self.record(&last).await;
    }

    /// Records messages, as often as it takes. False if the server stops before.
    async fn record(&self, frames: &[Frame]) -> bool {
        if frames.is_empty() {
            return true;
        }
        let mut pauses = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let Err(refusal) = Box::pin(self.receive.frames(frames, self.peer)).await else {
                return true;
            };
            if pauses.failures() == 0 {
                tracing::warn!(%refusal, "syslog messages wait to be recorded");
            }
            let pause = pauses.failed();
            let sleep = self.receive.clock().sleep(pause);
            if self.stopping.run_until_cancelled(sleep).await.is_none() {
                return false;
            }
        }
    }
}

impl Receive {
    async fn frames(&self, frames: &[Frame], peer: IpAddr) -> Result<(), serve::refusal::Refusal> {
        let address = peer.to_string();
        let whole = frames.iter().map(|frame| &frame.bytes[..]).collect::<Vec<_>>().join(&b'\n');
        let origin = Origin { receiver: "syslog", content_type: "text/plain", body: &whole };
        let batch = Batch { origin, now: self.now(), writer: None, log: None };
        let items = frames.iter().enumerate().map(|(at, frame)| {
            let host = host_of(frame).unwrap_or_else(|| address.clone());
            let source = source_uri("syslog://", &[&host]);
            let source = source.map_or(Cow::Borrowed("syslog://unknown"), Cow::Owned);
            Item { at, bytes: &frame.bytes[..], source, with: frame }
        });
        let taken = self.take(&batch, items, |item, intake| {
            let utc_offset_seconds = self.sources().of(&item.source).utc_offset_seconds;
            let peer = Peer { address: &address, utc_offset_seconds };
            map(item.with, &peer, intake)
        });
        taken.await.map(drop)
    }
}
