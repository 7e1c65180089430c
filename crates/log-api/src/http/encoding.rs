//! Content encodings of entry bundles: chosen by `Accept-Encoding`, made once, kept within bounds.
//!
//! At most one core compresses at a time. A bundle that would have to wait for that core is sent
//! uncompressed.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, header};
use tokio::sync::Semaphore;

use storage::LogId;

/// A fast level that is good enough for text: somebody waits while a bundle is compressed.
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 4;
/// Smaller bundles are not worth a header.
const BYTES_MIN: usize = 256;

/// What a body is encoded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// Its name in `Content-Encoding`; the identity has none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// The best encoding that a request accepts: the one with the largest weight, zstd before gzip.
    /// The identity if there is no `Accept-Encoding`, or if it refuses both.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT_ENCODING).iter();
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let zstd = weight(&values, "zstd");
        let gzip = weight(&values, "gzip");
        if zstd > 0 && zstd >= gzip {
            Self::Zstd
        } else if gzip > 0 {
            Self::Gzip
        } else {
            Self::Identity
        }
    }

    fn encode(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(bytes.to_vec()),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        }
    }
}

/// The weight, in thousandths, that a request gives a coding (RFC 9110, section 12.5.3): that of
/// the coding if it is named, else that of `*`, else 0. A weight that cannot be read counts as 0.
fn weight(values: &[&str], coding: &str) -> u16 {
    let mut any = 0;
    for item in values.iter().flat_map(|value| value.split(',')) {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let name = name.trim();
        let weight = quality(parameters.trim());
        if name.eq_ignore_ascii_case(coding) {
            return weight;
        }
        if name == "*" {
            any = weight;
        }
    }
    any
}

/// `q=0.123` in thousandths; 1,000 where there is no parameter.
fn quality(parameter: &str) -> u16 {
    if parameter.is_empty() {
        return 1_000;
    }
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    let (whole, fraction) =
        value.map_or(("", ""), |value| value.split_once('.').unwrap_or((value, "")));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match (whole, digits) {
        ("1", true) if fraction.bytes().all(|b| b == b'0') => 1_000,
        ("0", true) => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// Which encoded bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub log: LogId,
    pub index: u64,
    pub width: u16,
    pub encoding: Encoding,
}

/// Compresses bundles and keeps what it made. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The one core that compresses.
    core: Arc<Semaphore>,
    kept: Arc<Mutex<Kept>>,
}

/// Two generations, each of at most half the bound, as in the tile cache.
#[derive(Debug)]
struct Kept {
    young: HashMap<Key, Bytes>,
    young_bytes: usize,
    old: HashMap<Key, Bytes>,
    bytes_max: usize,
}

impl Kept {
    fn add(&mut self, key: Key, bytes: Bytes) {
        let half = self.bytes_max / 2;
        if bytes.len() > half {
            return;
        }
        if self.young_bytes + bytes.len() > half {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes.len();
        if let Some(before) = self.young.insert(key, bytes) {
            self.young_bytes -= before.len();
        }
    }
}

impl Encoder {
    /// Keeps at most `bytes_max` bytes of encoded bundles.
    pub fn new(bytes_max: usize) -> Self {
        let kept = Kept { young: HashMap::new(), young_bytes: 0, old: HashMap::new(), bytes_max };
        Self { core: Arc::new(Semaphore::new(1)), kept: Arc::new(Mutex::new(kept)) }
    }

    /// An encoded bundle that was made before.
    pub fn kept(&self, key: &Key) -> Option<Bytes> {
        let mut kept = self.lock();
        if let Some(bytes) = kept.young.get(key) {
            return Some(bytes.clone());
        }
        let bytes = kept.old.remove(key)?;
        kept.add(*key, bytes.clone());
        Some(bytes)
    }

    /// Encodes a bundle as its key says, or leaves it as it is if that does not pay or would have to
    /// wait.
    pub async fn encode(&self, key: Key, bytes: Bytes) -> (Bytes, Encoding) {
        let core = Arc::clone(&self.core).try_acquire_owned();
        let (Ok(core), true, false) =
            (core, bytes.len() >= BYTES_MIN, key.encoding == Encoding::Identity)
        else {
            return (bytes, Encoding::Identity);
        };
        let plain = bytes.clone();
        let compress = move || {
            let encoded = key.encoding.encode(&plain);
            drop(core);
            encoded
        };
        match base::tasks::blocking(compress).await {
            Ok(encoded) if encoded.len() < bytes.len() => {
                let encoded = Bytes::from(encoded);
                self.lock().add(key, encoded.clone());
                (encoded, key.encoding)
            }
            _ => (bytes, Encoding::Identity),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A poisoned lock is fine: a panic while it is held leaves only whole bundles behind.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, http::HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn the_best_accepted_encoding_is_chosen() {
        use Encoding::{Gzip, Identity, Zstd};
        for (value, expected) in [
            ("", Identity),
            ("identity", Identity),
            ("gzip", Gzip),
            ("GZIP", Gzip),
            ("gzip, identity", Gzip),
            ("gzip, zstd", Zstd),
            ("gzip;q=1.0, zstd;q=0.5", Gzip),
            ("gzip;q=0", Identity),
            ("gzip;q=0.0, zstd;q=0.000", Identity),
            ("gzip;q=0.001", Gzip),
            ("gzip; q=0", Identity),
            ("*", Zstd),
            ("*;q=0", Identity),
            ("zstd;q=0, *", Gzip),
            ("br, deflate", Identity),
            ("gzip;q=2", Identity),
            ("gzip;q=0.0001", Identity),
        ] {
            assert_eq!(Encoding::accepted(&accept(value)), expected, "{value:?}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new()), Identity);
    }

    fn key(encoding: Encoding, index: u64) -> Key {
        Key { log: LogId::new(1).unwrap(), index, width: 256, encoding }
    }

    #[tokio::test]
    async fn a_bundle_is_encoded_once_and_decodes_to_itself() {
        let encoder = Encoder::new(1 << 20);
        let plain = Bytes::from(vec![7; 10_000]);
        let (bytes, encoding) = encoder.encode(key(Encoding::Zstd, 0), plain.clone()).await;
        assert_eq!(encoding, Encoding::Zstd);
        assert_eq!(zstd::bulk::decompress(&bytes, 10_000).unwrap(), plain);
        assert_eq!(encoder.kept(&key(Encoding::Zstd, 0)), Some(bytes));
        let (bytes, _) = encoder.encode(key(Encoding::Gzip, 0), plain.clone()).await;
        let mut decoded = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(&bytes[..]);
        std::io::Read::read_to_end(&mut reader, &mut decoded).unwrap();
        assert_eq!(decoded, plain);
    }

    #[tokio::test]
    async fn a_bundle_that_would_wait_for_the_core_goes_out_as_it_is() {
        let encoder = Encoder::new(1 << 20);
        let busy = encoder.core.clone().try_acquire_owned().unwrap();
        let plain = Bytes::from(vec![7; 10_000]);
        let (bytes, encoding) = encoder.encode(key(Encoding::Gzip, 0), plain.clone()).await;
        assert_eq!((bytes, encoding), (plain, Encoding::Identity));
        drop(busy);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let encoder = Encoder::new(1_000);
        for index in 0..100 {
            encoder.lock().add(key(Encoding::Gzip, index), Bytes::from(vec![0; 100]));
        }
        let kept = encoder.lock();
        assert!(kept.young.len() + kept.old.len() <= 10);
        drop(kept);
        encoder.lock().add(key(Encoding::Gzip, 100), Bytes::from(vec![0; 501]));
        assert_eq!(encoder.kept(&key(Encoding::Gzip, 100)), None);
    }
}
