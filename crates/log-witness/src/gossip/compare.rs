//! Comparing two heads of a log by a proof that the log itself must give.
//!
//! A prefix proof is fetched from the log's tiles. Whatever they hold, it leads to the larger head's
//! signed root or says nothing; and if it does, it says what the smaller head must be.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use formats::key::read_vkeys;
use formats::{Evidence, Origin, SignedCheckpoint};
use log_client::tiles::{HttpSource, Resource, Source as _};
use merkle::tile::{self, TileCoord, TilePath};
use merkle::{Hash, TreeSize};
use tokio::time::timeout;

/// The longest file of URLs that is read, in bytes.
const URL_FILE_BYTES_MAX: u64 = 16 * 1024;
/// Addresses of one log that are asked.
const URLS_MAX: usize = 8;
/// How long one address may take for all tiles of a proof.
const PROOF_TIMEOUT: Duration = Duration::from_secs(20);

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

/// Asks the addresses of a log, one after the other, until one gives a proof. Heads of one size need
/// none: one of them waited for a proof when another was cosigned.
pub(super) async fn compare(
    urls: &[String],
    smaller: &SignedCheckpoint,
    larger: &SignedCheckpoint,
) -> Compared {
    if smaller.size() == larger.size() {
        return judge_same_size(smaller, larger);
    }
    for url in urls {
        let proof = timeout(PROOF_TIMEOUT, fetch(url, smaller.size(), larger.size())).await;
        match proof {
            Ok(Ok(proof)) => match judge(smaller, larger, proof) {
                Compared::Unproven => tracing::info!(url, "the tiles are not of this head"),
                compared => return compared,
            },
            Ok(Err(error)) => {
                let error: &(dyn Error + 'static) = &error;
                tracing::info!(url, error, "no proof from a log");
            }
            Err(_) => tracing::info!(url, "no proof from a log in time"),
        }
    }
    Compared::Unproven
}

/// Two heads of one size. Pure.
fn judge_same_size(one: &SignedCheckpoint, other: &SignedCheckpoint) -> Compared {
    if one.root() == other.root() {
        return Compared::Consistent;
    }
    Evidence::of_same_size(one.clone(), other.clone())
        .map_or(Compared::Unproven, |evidence| Compared::Contradiction(Box::new(evidence)))
}

/// What a prefix proof says. Pure.
fn judge(smaller: &SignedCheckpoint, larger: &SignedCheckpoint, proof: Vec<Hash>) -> Compared {
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

async fn fetch(url: &str, from: TreeSize, to: TreeSize) -> Result<Vec<Hash>, FetchError> {
    let source = HttpSource::new(url)?;
    let plan = merkle::plan_prefix(from, to)?;
    let mut tiles: HashMap<TileCoord, Vec<Hash>> = HashMap::new();
    let mut hashes = Vec::with_capacity(plan.nodes().len());
    for node in plan.nodes() {
        let location = tile::locate(*node);
        let row = match tiles.entry(location.coord) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(room) => room.insert(fetch_tile(&source, location.coord, to).await?),
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

/// The tile prefixes of each log: `NAME.url` beside `NAME.vkey`, one a line. Blocks. A file that cannot
/// be read is said, and is none.
pub(super) fn read_urls(dir: &Path) -> HashMap<Origin, Vec<String>> {
    let Ok(entries) = std::fs::read_dir(dir) else { return HashMap::new() };
    let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "url"))
        .filter_map(|path| read_url_file(&path))
        .collect()
}

fn read_url_file(path: &Path) -> Option<(Origin, Vec<String>)> {
    let read = |path: &Path| {
        let bytes = std::fs::metadata(path).ok()?.len();
        if bytes > URL_FILE_BYTES_MAX.max(crate::roster::VKEY_FILE_BYTES_MAX) {
            return None;
        }
        std::fs::read(path).ok()
    };
    let keys = read_vkeys(&read(&path.with_extension("vkey"))?).ok()?;
    let origin = Origin::from(keys.first()?.name().clone());
    let urls: Vec<String> = String::from_utf8(read(path)?)
        .ok()?
        .lines()
        .filter(|line| HttpSource::check(line).is_ok())
        .take(URLS_MAX)
        .map(str::to_owned)
        .collect();
    if urls.is_empty() {
        tracing::warn!(path = %path.display(), "no line is a URL like http[s]://HOST[:PORT]/PATH");
    }
    Some((origin, urls))
}
