//! Comparing two heads of a log by a proof that the log itself has to give.
//!
//! A prefix proof is fetched from the log's tiles. Either it leads to the larger head's signed root, and
//! then it says what the smaller root must be; or it says nothing, whatever the tiles hold.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use formats::key::read_vkeys;
use formats::{Evidence, Origin, SignedCheckpoint};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use log_client::tiles::{HttpSource, Resource, Source as _};
use merkle::tile::{self, TileCoord, TilePath};
use merkle::{Hash, TreeSize};

/// The longest file of URLs that is read, in bytes.
const URL_FILE_BYTES_MAX: u64 = 16 * 1024;
/// How often the files of URLs are read again, at most.
const URLS_EVERY: Duration = Duration::from_secs(5);
/// Addresses of one log that are asked.
const URLS_MAX: usize = 8;
/// Addresses that stay connected for the next proof.
const SOURCES_MAX: usize = 256;
/// How long one address may take for all tiles of a proof.
const PROOF_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an address may be silent before the next one is asked beside it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What two heads of different sizes are to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// The larger tree continues the smaller one.
    Consistent,
    /// It does not, and this shows it.
    Contradiction(Box<Evidence>),
    /// No address gave a proof.
    Unproven,
}

impl Compared {
    /// For two heads that both wait: their consistency says nothing about the newest head.
    pub(super) fn without_consistency(self) -> Self {
        if self == Self::Consistent { Self::Unproven } else { self }
    }
}

/// Compares two heads of a log, in any order. Heads of one size need no proof.
///
/// Asks the addresses of the log in their order. The next one has its turn when the one before gave no
/// proof, or did not answer for [`PATIENCE`].
pub(super) async fn compare(
    sources: &[Source],
    one: &SignedCheckpoint,
    other: &SignedCheckpoint,
    clock: &dyn Clock,
) -> Compared {
    if one.size() == other.size() {
        return judge_same_size(one, other);
    }
    let (smaller, larger) = if one.size() < other.size() { (one, other) } else { (other, one) };
    let (mut asked, mut left) = (FuturesUnordered::new(), sources.iter());
    loop {
        asked.extend(left.next().map(|source| ask(source, smaller, larger, clock)));
        match clock.timeout(PATIENCE, asked.next()).await {
            Ok(None) => return Compared::Unproven,
            Ok(Some(Compared::Unproven)) | Err(_) => {}
            Ok(Some(compared)) => return compared,
        }
    }
}

async fn ask(
    source: &Source,
    smaller: &SignedCheckpoint,
    larger: &SignedCheckpoint,
    clock: &dyn Clock,
) -> Compared {
    let url = &*source.url;
    let proof = fetch(&source.http, smaller.size(), larger.size());
    match clock.timeout(PROOF_TIMEOUT, proof).await {
        Ok(Ok(proof)) => {
            let compared = judge(smaller, larger, proof);
            if compared == Compared::Unproven {
                tracing::info!(url, "the tiles are not of this head");
            }
            compared
        }
        Ok(Err(error)) => {
            let error: &(dyn Error + 'static) = &error;
            tracing::info!(url, error, "no proof from a log");
            Compared::Unproven
        }
        Err(_) => {
            tracing::info!(url, "no proof from a log in time");
            Compared::Unproven
        }
    }
}

/// Two heads of one size. Pure.
pub(super) fn judge_same_size(one: &SignedCheckpoint, other: &SignedCheckpoint) -> Compared {
    if one.root() == other.root() {
        return Compared::Consistent;
    }
    Evidence::of_same_size(one.clone(), other.clone())
        .map_or(Compared::Unproven, |evidence| Compared::Contradiction(Box::new(evidence)))
}

/// What a prefix proof says. Pure.
pub(super) fn judge(
    smaller: &SignedCheckpoint,
    larger: &SignedCheckpoint,
    proof: Vec<Hash>,
) -> Compared {
    let was = merkle::prefix_root(smaller.size(), larger.size(), larger.root(), &proof);
    match was {
        Err(_) => Compared::Unproven,
        Ok(root) if root == *smaller.root() => Compared::Consistent,
        Ok(_) => Evidence::of_sizes(smaller.clone(), larger.clone(), proof)
            .map_or(Compared::Unproven, |evidence| Compared::Contradiction(Box::new(evidence))),
    }
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Source(#[from] log_client::tiles::SourceError),
    #[error(transparent)]
    Proof(#[from] merkle::ProofError),
    #[error("a tile is not one of this tree")]
    Tile,
}

async fn fetch(source: &HttpSource, from: TreeSize, to: TreeSize) -> Result<Vec<Hash>, FetchError> {
    let plan = merkle::plan_prefix(from, to)?;
    let mut tiles: HashMap<TileCoord, Vec<Hash>> = HashMap::new();
    let mut hashes = Vec::with_capacity(plan.nodes().len());
    for node in plan.nodes() {
        let location = tile::locate(*node);
        let row = match tiles.entry(location.coord) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(room) => room.insert(fetch_tile(source, location.coord, to).await?),
        };
        hashes.push(tile::root_of(location.slice(row).ok_or(FetchError::Tile)?));
    }
    Ok(plan.build(&hashes)?)
}

async fn fetch_tile(
    source: &HttpSource,
    coord: TileCoord,
    size: TreeSize,
) -> Result<Vec<Hash>, FetchError> {
    let width = tile::width_at(coord, size).ok_or(FetchError::Tile)?;
    let path = TilePath::new(coord, width).map_err(|_| FetchError::Tile)?;
    let fetched = source.fetch(vec![Resource::Tile(path)]).await?;
    let bytes = fetched.first().ok_or(FetchError::Tile)?;
    tile::decode(bytes, width).map_err(|_| FetchError::Tile)
}

/// An address of a log's tiles, and the connection to it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    url: Arc<str>,
    http: HttpSource,
}

/// The addresses of the logs' tiles, and connections to those that were asked lately.
#[derive(Debug)]
pub(super) struct Tiles {
    logs_dir: PathBuf,
    /// When the files were read.
    read: Option<Duration>,
    urls: HashMap<Origin, Vec<Arc<str>>>,
    /// At most [`SOURCES_MAX`].
    sources: HashMap<Arc<str>, HttpSource>,
}

impl Tiles {
    pub(super) fn new(logs_dir: PathBuf) -> Self {
        Self { logs_dir, read: None, urls: HashMap::new(), sources: HashMap::new() }
    }

    /// Reads the files of addresses, if that was long ago.
    pub(super) async fn refresh(&mut self, now: Duration) {
        if self.read.is_some_and(|read| now.saturating_sub(read) < URLS_EVERY) {
            return;
        }
        let dir = self.logs_dir.clone();
        let urls = base::tasks::blocking(move || read_urls(&dir)).await;
        (self.read, self.urls) = (Some(now), urls);
    }

    /// The addresses of a log that can be asked.
    pub(super) fn sources(&mut self, origin: &Origin) -> Vec<Source> {
        let urls = self.urls.get(origin).cloned().unwrap_or_default();
        urls.into_iter().filter_map(|url| self.source(url)).collect()
    }

    fn source(&mut self, url: Arc<str>) -> Option<Source> {
        if let Some(http) = self.sources.get(&url) {
            let http = http.clone();
            return Some(Source { url, http });
        }
        let http = HttpSource::new(&url)
            .inspect_err(|error| tracing::warn!(%url, %error, "an address of a log is not asked"))
            .ok()?;
        if self.sources.len() >= SOURCES_MAX {
            self.sources.clear();
        }
        self.sources.insert(Arc::clone(&url), http.clone());
        Some(Source { url, http })
    }
}

/// The tile prefixes of each log: `NAME.url` beside `NAME.vkey`, one a line. Blocks. A file that cannot
/// be read counts as empty.
fn read_urls(dir: &Path) -> HashMap<Origin, Vec<Arc<str>>> {
    let Ok(entries) = std::fs::read_dir(dir) else { return HashMap::new() };
    let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "url"))
        .filter_map(|path| read_url_file(&path))
        .collect()
}

fn read_url_file(path: &Path) -> Option<(Origin, Vec<Arc<str>>)> {
    let read = |path: &Path| {
        let bytes = std::fs::metadata(path).ok()?.len();
        if bytes > URL_FILE_BYTES_MAX.max(crate::roster::VKEY_FILE_BYTES_MAX) {
            return None;
        }
        std::fs::read(path).ok()
    };
    let keys = read_vkeys(&read(&path.with_extension("vkey"))?).ok()?;
    let origin = Origin::from(keys.first()?.name().clone());
    let urls: Vec<Arc<str>> = String::from_utf8(read(path)?)
        .ok()?
        .lines()
        .filter(|line| HttpSource::check(line).is_ok())
        .take(URLS_MAX)
        .map(Arc::from)
        .collect();
    if urls.is_empty() {
        tracing::warn!(path = %path.display(), "no line is a URL like http[s]://HOST[:PORT]/PATH");
    }
    Some((origin, urls))
}
