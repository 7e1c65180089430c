//! Verdicts: which digests hold, which log files they cover, and which hours nobody speaks for.
//!
//! A digest states the hash, and the signature, of the one before, so that one that is altered or taken
//! out is found. The tool of AWS goes on at the next digest that it finds; here the end of each digest
//! must be the start of the next, so that every hour that is missing is named.

use std::collections::{BTreeMap, BTreeSet};

use audit_event::Instant;

use super::digest::{Digest, Sha256Hash};
use super::keys::PublicKeys;
use super::{Signatures, from_hex, name_of};

const ALGORITHM: &str = "SHA256withRSA";
/// Digests are of hours.
const HOUR_SECONDS: u32 = 60 * 60;
/// Hours of one gap that are named one by one.
const HOURS_MAX: usize = 24 * 31;

/// What is wrong with a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DigestFault {
    #[error("could not verify: the signature is in the object metadata, which was not given")]
    NoSignature,
    #[error("could not verify: there is no public key of its fingerprint for its time")]
    UnknownKey,
    #[error("it is signed by an algorithm that is not SHA256withRSA")]
    Algorithm,
    #[error("its signature does not hold")]
    BadSignature,
    #[error("the digest after it states another hash")]
    HashMismatch,
    #[error("it lies under another name than it states")]
    OtherName,
}

impl DigestFault {
    /// Whether nobody knows, for want of a key or a signature.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::NoSignature | Self::UnknownKey)
    }
}

/// What became of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogVerdict {
    /// A digest that holds states its hash.
    Valid,
    /// A digest states another hash.
    Invalid,
    /// A digest states its hash, and does not hold or cannot be verified.
    Unverified,
    /// No digest speaks of it.
    NotCovered,
}

impl LogVerdict {
    /// The word that each of its records keeps.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unverified => "unverified",
            Self::NotCovered => "not_covered",
        }
    }
}

/// A time for which there is no digest, though there are some before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    /// The digest after it begins a new chain: logging, or the validation of log files, was off.
    pub(crate) is_restart: bool,
}

impl Gap {
    /// The hours of it, each by its start and its end.
    pub(crate) fn hours(self) -> Vec<(Instant, Instant)> {
        let mut hours = Vec::new();
        let mut from = self.from;
        while from < self.to && hours.len() < HOURS_MAX {
            let to = from.later_by(HOUR_SECONDS).min(self.to);
            hours.push((from, to));
            from = to;
        }
        hours
    }
}

/// A digest file, and the name that it lies under.
#[derive(Clone, Debug)]
pub(crate) struct DigestFile {
    pub(crate) name: String,
    pub(crate) digest: Digest,
}

/// What the digests say.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The keys of digests that do not hold, in the order of their series and times.
    pub(crate) digest_faults: Vec<(String, DigestFault)>,
    pub(crate) digests_valid: u64,
    /// Digests that begin a chain though there are some before them.
    pub(crate) restarts: Vec<String>,
    pub(crate) gaps: Vec<Gap>,
    /// Log files that a digest that holds states, and that were not given.
    pub(crate) missing_logs: Vec<String>,
    /// By the last part of a log file's name: the hash that is stated, and whether the digest holds.
    stated: BTreeMap<String, (Sha256Hash, bool)>,
}

impl Report {
    /// What is to be said of a log file: its name, and the hash of its unpacked bytes.
    pub(crate) fn log(&self, name: &str, sha256: &Sha256Hash) -> LogVerdict {
        match self.stated.get(unpacked(name_of(name))) {
            None => LogVerdict::NotCovered,
            Some((stated, _)) if stated != sha256 => LogVerdict::Invalid,
            Some((_, true)) => LogVerdict::Valid,
            Some((_, false)) => LogVerdict::Unverified,
        }
    }
}

/// Verifies digests, in whatever order they were read. `logs` are the names of the log files that were
/// given.
pub(crate) fn verify(
    files: Vec<DigestFile>,
    signatures: &Signatures,
    keys: &PublicKeys,
    logs: &BTreeSet<String>,
) -> Report {
    let mut series: BTreeMap<String, Vec<DigestFile>> = BTreeMap::new();
    for file in files {
        series.entry(file.digest.series()).or_default().push(file);
    }
    let mut report = Report::default();
    for mut files in series.into_values() {
        files.sort_by(|one, other| {
            let place = |file: &DigestFile| (file.digest.end, file.digest.key.clone());
            place(one).cmp(&place(other))
        });
        // The same digest may lie in two places.
        files.dedup_by(|one, other| {
            one.digest.key == other.digest.key && one.digest.sha256 == other.digest.sha256
        });
        verify_series(&files, signatures, keys, &mut report);
    }
    let given: BTreeSet<&str> = logs.iter().map(|name| unpacked(name_of(name))).collect();
    let missing =
        report.stated.iter().filter(|(name, (_, holds))| *holds && !given.contains(name.as_str()));
    report.missing_logs = missing.map(|(name, _)| name.clone()).collect();
    report
}

/// Goes through the digests of one trail in one region, the oldest first.
fn verify_series(
    files: &[DigestFile],
    signatures: &Signatures,
    keys: &PublicKeys,
    report: &mut Report,
) {
    for (at, file) in files.iter().enumerate() {
        let digest = &file.digest;
        let before = at.checked_sub(1).and_then(|at| files.get(at)).map(|file| &file.digest);
        if let Some(before) = before {
            look_between(before, digest, report);
        }
        let fault = fault_of(file, signatures, keys);
        let after = files.get(at + 1).map(|file| &file.digest);
        let fault = fault.or_else(|| after.and_then(|after| contradicted(digest, after)));
        match fault {
            Some(fault) => report.digest_faults.push((digest.key.clone(), fault)),
            None => report.digests_valid += 1,
        }
        for log in &digest.logs {
            let name = unpacked(name_of(&log.key)).to_owned();
            let stated = report.stated.entry(name).or_insert((log.sha256, false));
            // What a digest says that holds outweighs what another says.
            if fault.is_none() {
                *stated = (log.sha256, true);
            }
        }
    }
}

/// Whether something is missing between two digests that follow one another here.
fn look_between(before: &Digest, digest: &Digest, report: &mut Report) {
    let is_restart = digest.previous.is_none();
    if is_restart {
        report.restarts.push(digest.key.clone());
    }
    // A backfill digest is made when it is needed, so that nothing is missing between two of them
    // unless it names another before it.
    let is_chained = digest.previous.as_ref().is_some_and(|it| it.key == before.key);
    let follows = if digest.is_backfill() { is_chained || is_restart } else { false };
    // One that names another before it than this one speaks of a digest that is not here.
    let is_other = digest.previous.is_some() && !is_chained;
    if !follows && (before.end < digest.start || is_other) {
        report.gaps.push(Gap { from: before.end, to: digest.start, is_restart });
    }
}

/// What is wrong with a digest by itself.
fn fault_of(file: &DigestFile, signatures: &Signatures, keys: &PublicKeys) -> Option<DigestFault> {
    let digest = &file.digest;
    if unpacked(name_of(&file.name)) != unpacked(name_of(&digest.key)) {
        return Some(DigestFault::OtherName);
    }
    if digest.algorithm != ALGORITHM {
        return Some(DigestFault::Algorithm);
    }
    let Some(signature) = signatures.of(&digest.key) else { return Some(DigestFault::NoSignature) };
    let Some(signature) = from_hex(signature) else { return Some(DigestFault::BadSignature) };
    let text = digest.signed_text();
    match keys.verify(&digest.fingerprint, digest.end, text.as_bytes(), &signature) {
        None => Some(DigestFault::UnknownKey),
        Some(false) => Some(DigestFault::BadSignature),
        Some(true) => None,
    }
}

/// Whether the digest after this one states another hash of it.
fn contradicted(digest: &Digest, after: &Digest) -> Option<DigestFault> {
    let previous = after.previous.as_ref().filter(|previous| previous.key == digest.key)?;
    (previous.sha256 != digest.sha256).then_some(DigestFault::HashMismatch)
}

/// A name as it is whether the file lies packed or not.
fn unpacked(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}
