//! What is kept where a witness serves a checkpoint that this log has signed and its data contradict.

use std::path::PathBuf;

use base::durable;
use bytes::Bytes;
use formats::{Evidence, SignedCheckpoint, VerifierKey};
use merkle::TreeSize;

use crate::life::state::LogShared;
use crate::read::{Access, Reads, Snapshot};
use crate::sign::keyring::LogKeys;

/// Writes what was found beside the log's data, for whoever has to find out why: evidence that anyone can
/// check, where the newest head signed here is at least as large; else the checkpoint alone, as nothing
/// here says what became of the data it covers.
pub(super) async fn keep(
    log: &LogShared,
    witness: &str,
    note: &Bytes,
) -> Result<PathBuf, durable::FileError> {
    let witnessing = log.witnessing.as_ref().expect("only logs with a policy have witnesses");
    let (bytes, ending) = match shown(log, note).await {
        Some(evidence) => (Bytes::from(evidence.format()), "evidence"),
        None => (note.clone(), "checkpoint"),
    };
    let dir = &witnessing.options.evidence_dir;
    durable::create_dir_all(dir, 0o700)?;
    let safe = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let witness: String = witness.chars().map(safe).take(64).collect();
    let path = dir.join(format!("{}.{witness}.{ending}", log.record.name));
    durable::replace(&path, &bytes, 0o644)?;
    Ok(path)
}

/// Evidence that holds, of the checkpoint and of the newest head that was signed and journaled.
async fn shown(log: &LogShared, note: &[u8]) -> Option<Evidence> {
    let served = SignedCheckpoint::parse(note).ok()?;
    let head = log.signed.load_full();
    let own = SignedCheckpoint::parse(&head.note).ok();
    let evidence = if served.size() == TreeSize::ZERO {
        Evidence::of_empty(served)
    } else if served.size() == head.size() {
        Evidence::of_same_size(served, own?)
    } else if served.size() < head.size() {
        let reads = &log.witnessing.as_ref()?.options.reads;
        let snapshot = reads.signed(log.record.id, &head).ok()?;
        let size = served.size();
        let read = move |tree: &Snapshot, access: Access| tree.prefix(size, access);
        Evidence::of_sizes(served, own?, Reads::run(&snapshot, read).await.ok()?)
    } else {
        return None;
    };
    let keys: Vec<VerifierKey> = log.keys.as_ref().map(LogKeys::verifier_keys)?;
    evidence.ok().filter(|evidence| evidence.verify(&keys).is_ok())
}
