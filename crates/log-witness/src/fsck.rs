//! `cairn-witness fsck`: every row read, every note verified, and the engine's own checks of its pages.

use std::collections::HashMap;
use std::io;

use formats::key::parse_vkeys;
use formats::note::{NoteError, UnverifiedNote};
use formats::{Origin, SignedCheckpoint, VerifierKey};

use crate::store::{RowFault, Store, StoreError, StoredCheckpoint};

/// What is wrong with one row.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    #[error("{0}")]
    Row(StoreError),
    #[error("the checkpoint of {origin}: {fault}")]
    Checkpoint { origin: Origin, fault: RowFault },
    #[error("the checkpoint of {origin}: {source}")]
    Signature { origin: Origin, source: NoteError },
    #[error(
        "the checkpoint of {origin} has no cosignature of the witness's present keys that states {time_s}"
    )]
    NoCosignature { origin: Origin, time_s: u64 },
    #[error("the keys of {origin} cannot be parsed")]
    Keys { origin: Origin },
    #[error("the refused note of {origin} in slot {slot} is no checkpoint of it")]
    Refused { origin: Origin, slot: u8 },
    #[error("pages of the store were damaged, and the engine repaired what it could")]
    Pages,
}

/// What was read, and what was wrong.
#[derive(Debug, Default)]
pub struct Report {
    pub checkpoints: usize,
    pub keys: usize,
    pub trust: usize,
    pub refused: usize,
    pub damage: Vec<Damage>,
}

impl Report {
    /// Nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }

    /// One line of counts, and one for each damage.
    pub fn write_text(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Self { checkpoints, keys, trust, refused, damage } = self;
        writeln!(
            out,
            "read {checkpoints} checkpoints, {keys} sets of keys, {trust} decisions of trust, {refused} refused notes"
        )?;
        for damage in damage {
            writeln!(out, "damaged: {damage}")?;
        }
        writeln!(out, "{}", if self.is_clean() { "clean" } else { "DAMAGED" })
    }
}

/// Checks the whole store. `own` are the witness's present keys: lines of retired ones are only read.
///
/// # Errors
/// The store cannot be read at all.
pub fn run(store: &mut Store, own: &[VerifierKey]) -> Result<Report, StoreError> {
    let mut report = Report::default();
    if !store.check_pages()? {
        report.damage.push(Damage::Pages);
    }
    let mut keys: HashMap<Origin, Vec<VerifierKey>> = HashMap::new();
    store.each_keys(|origin, row| {
        report.keys += 1;
        match row.map(|text| parse_vkeys(&text)) {
            Ok(Ok(parsed)) => drop(keys.insert(origin, parsed)),
            Ok(Err(_)) => report.damage.push(Damage::Keys { origin }),
            Err(error) => report.damage.push(Damage::Row(error)),
        }
    })?;
    store.each_checkpoint(|origin, row| {
        report.checkpoints += 1;
        let log_keys = keys.get(&origin).map_or(&[][..], Vec::as_slice);
        let checked = row.map_err(Damage::Row);
        let checked = checked.and_then(|row| check_checkpoint(&origin, &row, log_keys, own));
        report.damage.extend(checked.err());
    })?;
    store.each_trust(|_, row| {
        report.trust += 1;
        report.damage.extend(row.err().map(Damage::Row));
    })?;
    for origin in store.refused_origins()? {
        match store.refused(&origin) {
            Ok(notes) => {
                for (slot, note) in notes {
                    report.refused += 1;
                    let parsed = SignedCheckpoint::parse(&note.note);
                    if !parsed.is_ok_and(|signed| *signed.origin() == origin) {
                        report.damage.push(Damage::Refused { origin: origin.clone(), slot });
                    }
                }
            }
            Err(error) => report.damage.push(Damage::Row(error)),
        }
    }
    Ok(report)
}

/// The log's signatures and ours hold, and one of ours states the row's time.
fn check_checkpoint(
    origin: &Origin,
    row: &StoredCheckpoint,
    log_keys: &[VerifierKey],
    own: &[VerifierKey],
) -> Result<(), Damage> {
    let origin = origin.clone();
    let signed = match row.checkpoint(&origin) {
        Ok(signed) => signed,
        Err(fault) => return Err(Damage::Checkpoint { origin, fault }),
    };
    let note = match UnverifiedNote::parse(signed.as_bytes()) {
        Ok(note) => note,
        Err(source) => return Err(Damage::Signature { origin, source }),
    };
    let all: Vec<&VerifierKey> = log_keys.iter().chain(own).collect();
    let verified = match note.verify(&all) {
        Ok(verified) => verified,
        // Signed before both rotated: nothing present can tell.
        Err(NoteError::NoTrustedSignature) => return Ok(()),
        Err(source) => return Err(Damage::Signature { origin, source }),
    };
    let mut ours = verified.signatures().iter().filter(|line| own.contains(line.key())).peekable();
    if ours.peek().is_some() && !ours.any(|line| line.time() == Some(row.time)) {
        return Err(Damage::NoCosignature { origin, time_s: row.time.seconds() });
    }
    Ok(())
}
