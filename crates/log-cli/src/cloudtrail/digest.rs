//! A digest file: what a trail delivered in an hour, chained to the hour before.

use audit_event::Instant;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{from_hex, name_of, to_hex};

/// Bytes of SHA-256.
pub(crate) type Sha256Hash = [u8; 32];

/// Ends the name of a digest that was made later than its hour.
const BACKFILL: &str = "_backfill";
/// Characters of `20260301T010000Z`.
const STAMP_LEN: usize = 16;

/// The members of a digest file that are looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    digest_start_time: String,
    digest_end_time: String,
    #[serde(rename = "digestS3Bucket")]
    digest_s3_bucket: String,
    #[serde(rename = "digestS3Object")]
    digest_s3_object: String,
    digest_public_key_fingerprint: String,
    digest_signature_algorithm: String,
    #[serde(rename = "previousDigestS3Object")]
    previous_digest_s3_object: Option<String>,
    previous_digest_hash_value: Option<String>,
    previous_digest_signature: Option<String>,
    log_files: Vec<LogFileDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogFileDocument {
    #[serde(rename = "s3Object")]
    s3_object: String,
    hash_value: String,
}

/// What a digest states of a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatedLog {
    pub(crate) key: String,
    pub(crate) sha256: Sha256Hash,
}

/// What a digest states of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Previous {
    pub(crate) key: String,
    pub(crate) sha256: Sha256Hash,
    pub(crate) signature: String,
}

/// A digest file. **Not verified by being parsed.**
#[derive(Clone, Debug)]
pub(crate) struct Digest {
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    end_text: String,
    bucket: String,
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) algorithm: String,
    /// `None` begins a chain.
    pub(crate) previous: Option<Previous>,
    pub(crate) logs: Vec<StatedLog>,
    /// Of the unpacked file.
    pub(crate) sha256: Sha256Hash,
}

impl Digest {
    /// Reads a digest, unpacked; `None` if it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(bytes).ok()?;
        let previous = match document.previous_digest_s3_object {
            None => None,
            Some(key) => Some(Previous {
                key,
                sha256: hash(&document.previous_digest_hash_value?)?,
                signature: document.previous_digest_signature?,
            }),
        };
        let logs = document
            .log_files
            .into_iter()
            .map(|log| Some(StatedLog { key: log.s3_object, sha256: hash(&log.hash_value)? }));
        Some(Self {
            start: Instant::parse(&document.digest_start_time).ok()?.instant,
            end: Instant::parse(&document.digest_end_time).ok()?.instant,
            end_text: document.digest_end_time,
            bucket: document.digest_s3_bucket,
            key: document.digest_s3_object,
            fingerprint: document.digest_public_key_fingerprint,
            algorithm: document.digest_signature_algorithm,
            previous,
            logs: logs.collect::<Option<_>>()?,
            sha256: Sha256::digest(bytes).into(),
        })
    }

    /// What the signature is made of: four lines, joined by line feeds.
    pub(crate) fn signed_text(&self) -> String {
        let hash = to_hex(&self.sha256);
        let previous = self.previous.as_ref().map_or("null", |previous| &previous.signature);
        format!("{}\n{}/{}\n{hash}\n{previous}", self.end_text, self.bucket, self.key)
    }

    /// Whether it was made later than its hour: those have a chain of their own.
    pub(crate) fn is_backfill(&self) -> bool {
        stem(&self.key).ends_with(BACKFILL)
    }

    /// What the digests of one trail in one region have in common. Backfill digests are another series.
    pub(crate) fn series(&self) -> String {
        let stem = stem(&self.key);
        let (stem, kind) = match stem.strip_suffix(BACKFILL) {
            Some(stem) => (stem, BACKFILL),
            None => (stem, ""),
        };
        let named = stem.len().checked_sub(STAMP_LEN).and_then(|at| stem.get(..at));
        format!("{}{kind}", named.unwrap_or(stem))
    }
}

/// The name of an object without what says how it is packed.
fn stem(key: &str) -> &str {
    let name = name_of(key);
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.strip_suffix(".json").unwrap_or(name)
}

fn hash(hex: &str) -> Option<Sha256Hash> {
    from_hex(hex)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(previous: &str, hash: &str) -> String {
        let log = format!(r#"{{"s3Bucket":"b","s3Object":"x/log.json.gz","hashValue":"{hash}"}}"#);
        format!(
            r#"{{"awsAccountId":"1","digestStartTime":"2026-03-01T01:00:00Z",
            "digestEndTime":"2026-03-01T02:00:00Z","digestS3Bucket":"b",
            "digestS3Object":"d/1_CloudTrail-Digest_r_t_r_20260301T020000Z_backfill.json.gz",
            "digestPublicKeyFingerprint":"f","digestSignatureAlgorithm":"SHA256withRSA",
            {previous}"logFiles":[{log}]}}"#
        )
    }

    #[test]
    fn a_digest_is_read_and_says_what_is_signed() {
        let hash = "ab".repeat(32);
        let previous = format!(
            r#""previousDigestS3Object":"p","previousDigestHashValue":"{hash}",
            "previousDigestSignature":"cd","#
        );
        let digest = Digest::parse(text(&previous, &hash).as_bytes()).unwrap();
        assert_eq!((digest.logs.len(), digest.is_backfill()), (1, true));
        assert_eq!(digest.series(), "1_CloudTrail-Digest_r_t_r__backfill");
        let signed = digest.signed_text();
        let lines: Vec<&str> = signed.split('\n').collect();
        assert_eq!((lines.len(), lines[0], lines[3]), (4, "2026-03-01T02:00:00Z", "cd"));
        assert!(lines[1].starts_with("b/d/1_CloudTrail-Digest"));
        let first = Digest::parse(text("", &hash).as_bytes()).unwrap();
        assert!(first.previous.is_none() && first.signed_text().ends_with("\nnull"));
    }

    #[test]
    fn what_is_no_digest_is_none() {
        let hash = "ab".repeat(32);
        let half = r#""previousDigestS3Object":"p","#;
        for text in [
            "{}".to_owned(),
            r#"{"Records":[]}"#.to_owned(),
            text("", "zz"),
            text(half, &hash),
            text("", &hash).replace("T02:00:00Z\",\"digestS3Bucket", " 02:00\",\"digestS3Bucket"),
        ] {
            assert!(Digest::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
