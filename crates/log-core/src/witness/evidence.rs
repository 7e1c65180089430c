//! What we keep when a witness serves a checkpoint that this log signed and its data contradict.

use std::path::PathBuf;

use base::durable;
use bytes::Bytes;
use formats::{Evidence, SignedCheckpoint};
use merkle::TreeSize;

use super::Witnessing;
use crate::read::{Access, Reads, Snapshot};

/// Writes the checkpoint beside the log's data, for the operator who has to find out why. If the newest
/// head signed here is at least as large, the file is evidence that anyone can check. If not, the file is
/// the checkpoint alone, because nothing here shows what became of the data that it covers.
pub(super) async fn keep(
    witnessing: &Witnessing,
    witness: &str,
    note: &Bytes,
) -> Result<PathBuf, durable::FileError> {
    let (bytes, ending) = match shown(witnessing, note).await {
        Some(evidence) => (Bytes::from(evidence.format()), "evidence"),
        None => (note.clone(), "checkpoint"),
    };
    let dir = &witnessing.options.evidence_dir;
    durable::create_dir_all(dir, 0o700)?;
    let safe = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let witness: String = witness.chars().map(safe).take(64).collect();
    let path = dir.join(format!("{}.{witness}.{ending}", witnessing.record.name));
    durable::replace(&path, &bytes, 0o644)?;
    Ok(path)
}

/// Evidence, verified, made of the checkpoint and of the newest head that was signed and journaled.
async fn shown(witnessing: &Witnessing, note: &[u8]) -> Option<Evidence> {
    let served = SignedCheckpoint::parse(note).ok()?;
    let head = witnessing.sign.signed();
    let own = SignedCheckpoint::parse(&head.note).ok();
    let evidence = if served.size() == TreeSize::ZERO {
        Evidence::of_empty(served)
    } else if served.size() == head.size() {
        Evidence::of_same_size(served, own?)
    } else if served.size() < head.size() {
        let reads = &witnessing.options.reads;
        let snapshot = reads.signed(witnessing.record.id, &head).ok()?;
        let size = served.size();
        let read = move |tree: &Snapshot, access: Access| tree.prefix(size, access);
        Evidence::of_sizes(served, own?, Reads::run(&snapshot, read).await.ok()?)
    } else {
        return None;
    };
    let keys = witnessing.sign.verifier_keys();
    evidence.ok().filter(|evidence| evidence.verify(&keys).is_ok())
}
