//! Where the public tiles of a log are read from: its HTTP server, or a folder.
//!
//! The layout is that of c2sp.org/tlog-tiles. A source checks lengths and limits, and nothing else: what it
//! gives is not verified. Over HTTP gzip is understood, and what it unfolds to is held to the same limits;
//! one redirect is followed, within the origin that was asked.

use std::{
    fs::File,
    future::Future,
    io::{self, ErrorKind, Read as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use base::clock::SystemClock;
use bytes::Bytes;
use http_client::{Answer, CallError, Client, Options, Redirects};
use merkle::{
    Hash,
    bundle::ENTRY_BYTES_MAX,
    tile::{BundlePath, TilePath},
};
use tls::{AuthoritiesError, Url};

use crate::error::is_exhaustion;
pub use http_client::RedirectError;

/// The longest checkpoint, in bytes.
const CHECKPOINT_BYTES_MAX: usize = 128 * 1024;
/// How long one answer may take over HTTP: a full bundle can have 16 MiB.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections kept to one server: an audit asks for some tiles and bundles at a time.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// One of the files that make up a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The newest checkpoint.
    Checkpoint,
    /// A tile of hashes.
    Tile(TilePath),
    /// A bundle of entries.
    Bundle(BundlePath),
}

impl Resource {
    /// Its path under the log's prefix, without a leading slash.
    pub fn path(&self) -> String {
        match self {
            Self::Checkpoint => "checkpoint".to_owned(),
            Self::Tile(tile) => tile.to_string(),
            Self::Bundle(bundle) => bundle.to_string(),
        }
    }

    /// The fewest and the most bytes it can have.
    fn length_limits(&self) -> (usize, usize) {
        match self {
            Self::Checkpoint => (1, CHECKPOINT_BYTES_MAX),
            Self::Tile(tile) => {
                let bytes = usize::from(tile.width()) * Hash::LEN;
                (bytes, bytes)
            }
            Self::Bundle(bundle) => {
                let width = usize::from(bundle.width());
                (width * 2, width * (2 + ENTRY_BYTES_MAX))
            }
        }
    }

    /// The full tile or bundle that may have taken the place of a partial one.
    fn full(&self) -> Option<Self> {
        match self {
            Self::Tile(tile) if tile.width() < 256 => {
                TilePath::new(tile.coord(), 256).ok().map(Self::Tile)
            }
            Self::Bundle(bundle) if bundle.width() < 256 => {
                BundlePath::new(bundle.index(), 256).ok().map(Self::Bundle)
            }
            Self::Checkpoint | Self::Tile(_) | Self::Bundle(_) => None,
        }
    }
}

/// Why a file of a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The address is not one.
    #[error("log address {url:?} is not of the form http[s]://HOST[:PORT][/PATH]")]
    Address {
        /// The address as it was given.
        url: String,
    },
    /// The address is one of HTTPS, and nobody can say which server to believe.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// It is not there.
    #[error("{path} is not there")]
    NotFound {
        /// Its path under the log's prefix.
        path: String,
    },
    /// It has fewer or more bytes than it can have.
    #[error("{path} has {found} bytes, where {min} to {max} are possible")]
    Length {
        /// Its path under the log's prefix.
        path: String,
        /// The bytes that were read; more may follow.
        found: usize,
        /// The fewest it can have.
        min: usize,
        /// The most it can have.
        max: usize,
    },
    /// The folder could not be read.
    #[error("{path} cannot be read")]
    Io {
        /// Its path under the log's prefix.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server could not be asked, or broke off.
    #[error("{path} cannot be fetched")]
    Http {
        /// Its path under the log's prefix.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server answered with another status.
    #[error("{path} cannot be fetched: the server answered {status}")]
    Status {
        /// Its path under the log's prefix.
        path: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server sends elsewhere, where nobody asked to go.
    #[error("{path} cannot be fetched")]
    Redirect {
        /// Its path under the log's prefix.
        path: String,
        /// Why it is not followed.
        #[source]
        source: RedirectError,
    },
    /// The server took too long.
    #[error("{path} cannot be fetched: no whole answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Timeout {
        /// Its path under the log's prefix.
        path: String,
    },
    /// The server chose an encoding that was not asked for.
    #[error("{path} came with the encoding {encoding:?}, which was not asked for")]
    Encoding {
        /// Its path under the log's prefix.
        path: String,
        /// The encoding.
        encoding: String,
    },
}

impl SourceError {
    /// Whether the same file may be there when asked for once more, after a pause.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http { .. } | Self::Timeout { .. } => true,
            Self::Status { status, .. } => matches!(status, 429 | 500..),
            Self::Io { source, .. } => is_exhaustion(source),
            Self::Address { .. }
            | Self::Authorities(_)
            | Self::NotFound { .. }
            | Self::Length { .. }
            | Self::Redirect { .. }
            | Self::Encoding { .. } => false,
        }
    }
}

/// Where the files of a log are read from. Cheap to clone, used from several tasks at once.
pub trait Source: Clone + Send + Sync + 'static {
    /// The bytes of these files, in order. Lengths are within what each can have.
    fn fetch(
        &self,
        resources: Vec<Resource>,
    ) -> impl Future<Output = Result<Vec<Bytes>, SourceError>> + Send;
}

/// The public tiles of a log over HTTP or HTTPS.
#[derive(Clone, Debug)]
pub struct HttpSource {
    client: Client,
    /// Ends with a slash.
    prefix: String,
}

impl HttpSource {
    /// The log under this prefix (`http[s]://HOST[:PORT][/PATH]`), with or without its last slash. The server
    /// at an `https` address is known by the machine's certificate authorities.
    pub fn new(url: &str) -> Result<Self, SourceError> {
        let (prefix, url) = prefix(url)?;
        let options = Options {
            known: url.known(),
            connect_timeout: CONNECT_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            idle_connections_max: IDLE_CONNECTIONS_MAX,
            redirects: Redirects::OnceWithinOrigin,
        };
        Ok(Self { client: Client::new(options, Arc::new(SystemClock::new()))?, prefix })
    }

    /// Checks an address for its form alone.
    pub fn check(url: &str) -> Result<(), SourceError> {
        prefix(url).map(drop)
    }

    async fn get(&self, resource: &Resource) -> Result<Bytes, SourceError> {
        let path = resource.path();
        let request = http::Request::get(format!("{}{path}", self.prefix))
            .header(http::header::ACCEPT_ENCODING, "gzip, identity")
            .body(Bytes::new())
            .map_err(|_| SourceError::Address { url: self.prefix.clone() })?;
        let (min, max) = resource.length_limits();
        let failed = |error| match error {
            CallError::Timeout { .. } => SourceError::Timeout { path: path.clone() },
            CallError::TooLong { max: limit } => {
                SourceError::Length { path: path.clone(), found: limit + 1, min, max }
            }
            CallError::Redirect(source) => SourceError::Redirect { path: path.clone(), source },
            CallError::Unreachable(source) => {
                SourceError::Http { path: path.clone(), source: source.into() }
            }
            CallError::BrokenOff(source) => SourceError::Http { path: path.clone(), source },
        };
        let answer = self.client.ask(request).await.map_err(failed)?;
        let gzip = is_gzip(&answer, &path)?;
        // What gzip cannot make shorter it makes longer by less than this.
        let limit = if gzip { max + max / 1000 + 64 } else { max };
        let body = answer.whole(limit).await.map_err(failed)?.into_body();
        let body = if gzip { unfold(body, max, &path).await? } else { body };
        check_length(resource, &path, body)
    }
}

/// An address, as it was read and with a slash at its end.
fn prefix(url: &str) -> Result<(String, Url), SourceError> {
    let address = || SourceError::Address { url: url.to_owned() };
    let url: Url = url.parse().map_err(|_| address())?;
    Ok((url.prefix().ok_or_else(address)? + "/", url))
}

impl Source for HttpSource {
    async fn fetch(&self, resources: Vec<Resource>) -> Result<Vec<Bytes>, SourceError> {
        let each = resources.iter().map(|resource| async move {
            match self.get(resource).await {
                Err(SourceError::NotFound { path }) => match resource.full() {
                    Some(full) => self.get(&full).await.and_then(|bytes| cut(resource, bytes)),
                    None => Err(SourceError::NotFound { path }),
                },
                fetched => fetched,
            }
        });
        futures_util::future::try_join_all(each).await
    }
}

/// The public tiles of a log in a folder, laid out as under its HTTP prefix.
#[derive(Clone, Debug)]
pub struct DirSource {
    dir: PathBuf,
}

impl DirSource {
    /// The log in this folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn read(&self, resource: &Resource) -> Result<Bytes, SourceError> {
        match self.read_exact(resource) {
            Err(SourceError::NotFound { path }) => match resource.full() {
                Some(full) => self.read_exact(&full).and_then(|bytes| cut(resource, bytes)),
                None => Err(SourceError::NotFound { path }),
            },
            read => read,
        }
    }

    fn read_exact(&self, resource: &Resource) -> Result<Bytes, SourceError> {
        let path = resource.path();
        let file = match File::open(self.dir.join(&path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(SourceError::NotFound { path });
            }
            Err(source) => return Err(SourceError::Io { path, source }),
            Ok(file) => file,
        };
        let (_, max) = resource.length_limits();
        let mut bytes = Vec::new();
        let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        let size = file.metadata().map_or(0, |meta| meta.len().min(limit));
        bytes.reserve_exact(usize::try_from(size).unwrap_or(0) + 1);
        match file.take(limit).read_to_end(&mut bytes) {
            Ok(_) => check_length(resource, &path, bytes.into()),
            Err(source) => Err(SourceError::Io { path, source }),
        }
    }
}

impl Source for DirSource {
    async fn fetch(&self, resources: Vec<Resource>) -> Result<Vec<Bytes>, SourceError> {
        let source = self.clone();
        tokio::task::spawn_blocking(move || {
            resources.iter().map(|resource| source.read(resource)).collect()
        })
        .await
        .expect("reading files does not panic, and is not cancelled")
    }
}

/// Whether an answer is good, and compressed.
fn is_gzip(answer: &Answer, path: &str) -> Result<bool, SourceError> {
    let path = || path.to_owned();
    match answer.status() {
        http::StatusCode::OK => {}
        http::StatusCode::NOT_FOUND => return Err(SourceError::NotFound { path: path() }),
        status => return Err(SourceError::Status { path: path(), status: status.as_u16() }),
    }
    match answer.headers().get(http::header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(encoding) => {
            let encoding = String::from_utf8_lossy(encoding).into_owned();
            Err(SourceError::Encoding { path: path(), encoding })
        }
    }
}

/// Decompresses, where blocking is allowed, at most one byte more than can be valid.
async fn unfold(body: Bytes, max: usize, path: &str) -> Result<Bytes, SourceError> {
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).take(limit).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    })
    .await
    .expect("decompressing does not panic, and is not cancelled")
    .map_err(|source: io::Error| SourceError::Io { path: path.to_owned(), source })
}

fn check_length(resource: &Resource, path: &str, bytes: Bytes) -> Result<Bytes, SourceError> {
    let ((min, max), found) = (resource.length_limits(), bytes.len());
    if (min..=max).contains(&found) {
        return Ok(bytes);
    }
    Err(SourceError::Length { path: path.to_owned(), found, min, max })
}

/// The start of a full tile or bundle that is what the partial one was.
fn cut(partial: &Resource, full: Bytes) -> Result<Bytes, SourceError> {
    let ((min, max), found) = (partial.length_limits(), full.len());
    let length = || SourceError::Length { path: partial.path(), found, min, max };
    match partial {
        Resource::Checkpoint => Ok(full),
        Resource::Tile(_) => Ok(full.slice(..max)),
        Resource::Bundle(bundle) => {
            let mut end = 0;
            for _ in 0..bundle.width() {
                let prefix = full.get(end..end + 2).ok_or_else(length)?;
                let entry = u16::from_be_bytes([prefix[0], prefix[1]]);
                end += 2 + usize::from(entry);
            }
            full.get(..end).ok_or_else(length)?;
            Ok(full.slice(..end))
        }
    }
}
