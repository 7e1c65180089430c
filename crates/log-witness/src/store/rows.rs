//! The layout of the rows. Integers are big-endian; times are seconds since the Unix epoch.
//!
//! ```text
//! every value     01 ‖ body ‖ CRC-32 of key, version and body
//! checkpoints     origin           time 8 ‖ signed note
//! keys            origin           vkeys, one a line
//! trust           origin           state 1 ‖ time 8 ‖ evidence
//! refused         origin ‖ slot    time 8 ‖ HTTP status 2 ‖ signed note
//! meta            "layout"         01, without anything around it
//! ```

use formats::{Origin, SignedCheckpoint, Timestamp};

/// What every value begins with.
pub(super) const ROW_VERSION: u8 = 1;
/// The layout of the whole store.
pub(super) const LAYOUT_VERSION: u8 = 1;
/// Version and checksum.
const FRAME_BYTES: usize = 1 + 4;

/// Why a row cannot be read. Its bytes are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    #[error("it is too short")]
    TooShort,
    #[error("its version is {found}, this program reads {ROW_VERSION}")]
    Version { found: u8 },
    #[error("its checksum does not match")]
    Checksum,
    #[error("its key is no origin")]
    Origin,
    #[error("its time is out of range")]
    Time,
    #[error("its note is no signed checkpoint of that origin")]
    Note,
    #[error("its text is not UTF-8")]
    Text,
    #[error("its state is unknown")]
    State,
}

/// The whole last checkpoint of a log: its text, the log's signatures and our cosignatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// What the cosignatures state.
    pub time: Timestamp,
    /// Byte for byte what the monitoring route serves.
    pub note: Vec<u8>,
}

/// Whether a log's keys are trusted, and the evidence that decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRow {
    /// False from the evidence on, true again by the operator's word alone.
    pub trusted: bool,
    /// When that was decided.
    pub since: u64,
    /// Kept, and served, whatever the state.
    pub evidence: Vec<u8>,
}

/// A signed note whose submission was refused: it may be half of an evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedNote {
    /// When.
    pub time: u64,
    /// What was answered.
    pub status: u16,
    /// Its text and the log's signatures.
    pub note: Vec<u8>,
}

pub(super) fn seal(key: &[u8], body: &[&[u8]]) -> Vec<u8> {
    let length = FRAME_BYTES + body.iter().map(|part| part.len()).sum::<usize>();
    let mut value = Vec::with_capacity(length);
    value.push(ROW_VERSION);
    for part in body {
        value.extend_from_slice(part);
    }
    let checksum = checksum(key, &value);
    value.extend_from_slice(&checksum.to_be_bytes());
    value
}

pub(super) fn unseal<'v>(key: &[u8], value: &'v [u8]) -> Result<&'v [u8], RowFault> {
    let (sealed, found) = value.split_last_chunk::<4>().ok_or(RowFault::TooShort)?;
    let (&version, body) = sealed.split_first().ok_or(RowFault::TooShort)?;
    if version != ROW_VERSION {
        return Err(RowFault::Version { found: version });
    }
    if checksum(key, sealed) != u32::from_be_bytes(*found) {
        return Err(RowFault::Checksum);
    }
    Ok(body)
}

fn checksum(key: &[u8], sealed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(sealed);
    hasher.finalize()
}

/// The key of a refused note, as the checksum covers it.
pub(super) fn refused_key(origin: &str, slot: u8) -> Vec<u8> {
    [origin.as_bytes(), &[slot]].concat()
}

pub(super) fn origin(key: &str) -> Result<Origin, RowFault> {
    Origin::new(key).map_err(|_| RowFault::Origin)
}

impl StoredCheckpoint {
    pub(super) fn seal(&self, origin: &str) -> Vec<u8> {
        seal(origin.as_bytes(), &[&self.time.seconds().to_be_bytes(), &self.note])
    }

    pub(super) fn unseal(origin: &str, value: &[u8]) -> Result<Self, RowFault> {
        let (time, note) = split_time(unseal(origin.as_bytes(), value)?)?;
        let time = Timestamp::new(time).map_err(|_| RowFault::Time)?;
        Ok(Self { time, note: note.to_vec() })
    }

    /// The note, parsed; checked to be of `origin`.
    pub fn checkpoint(&self, origin: &Origin) -> Result<SignedCheckpoint, RowFault> {
        let signed = SignedCheckpoint::parse(&self.note).map_err(|_| RowFault::Note)?;
        if signed.origin() == origin { Ok(signed) } else { Err(RowFault::Note) }
    }
}

impl TrustRow {
    pub(super) fn seal(&self, origin: &str) -> Vec<u8> {
        let state = [u8::from(self.trusted)];
        seal(origin.as_bytes(), &[&state, &self.since.to_be_bytes(), &self.evidence])
    }

    pub(super) fn unseal(origin: &str, value: &[u8]) -> Result<Self, RowFault> {
        let body = unseal(origin.as_bytes(), value)?;
        let (&state, rest) = body.split_first().ok_or(RowFault::TooShort)?;
        let trusted = match state {
            0 => false,
            1 => true,
            _ => return Err(RowFault::State),
        };
        let (since, evidence) = split_time(rest)?;
        Ok(Self { trusted, since, evidence: evidence.to_vec() })
    }
}

impl RefusedNote {
    pub(super) fn seal(&self, origin: &str, slot: u8) -> Vec<u8> {
        let (time, status) = (self.time.to_be_bytes(), self.status.to_be_bytes());
        seal(&refused_key(origin, slot), &[&time, &status, &self.note])
    }

    pub(super) fn unseal(origin: &str, slot: u8, value: &[u8]) -> Result<Self, RowFault> {
        let (time, rest) = split_time(unseal(&refused_key(origin, slot), value)?)?;
        let (status, note) = rest.split_first_chunk::<2>().ok_or(RowFault::TooShort)?;
        Ok(Self { time, status: u16::from_be_bytes(*status), note: note.to_vec() })
    }
}

fn split_time(body: &[u8]) -> Result<(u64, &[u8]), RowFault> {
    let (time, rest) = body.split_first_chunk::<8>().ok_or(RowFault::TooShort)?;
    Ok((u64::from_be_bytes(*time), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_laid_out_as_documented() {
        let stored = StoredCheckpoint { time: Timestamp::new(258).unwrap(), note: b"n".to_vec() };
        let sealed = stored.seal("o");
        assert_eq!(sealed[..10], [1, 0, 0, 0, 0, 0, 0, 1, 2, b'n']);
        assert_eq!(sealed[10..], crc32fast::hash(&[b"o", &sealed[..10]].concat()).to_be_bytes());
        assert_eq!(StoredCheckpoint::unseal("o", &sealed), Ok(stored));

        let trust = TrustRow { trusted: false, since: 3, evidence: b"e".to_vec() };
        assert_eq!(trust.seal("o")[..11], [1, 0, 0, 0, 0, 0, 0, 0, 0, 3, b'e']);
        assert_eq!(TrustRow::unseal("o", &trust.seal("o")), Ok(trust));

        let refused = RefusedNote { time: 3, status: 409, note: b"n".to_vec() };
        assert_eq!(refused.seal("o", 2)[..12], [1, 0, 0, 0, 0, 0, 0, 0, 3, 1, 153, b'n']);
        assert_eq!(RefusedNote::unseal("o", 2, &refused.seal("o", 2)), Ok(refused));
    }

    /// No row has two forms: with a checksum that fits, every changed bit is another row or none.
    #[test]
    fn what_is_read_is_what_would_be_written() {
        let body: [&[u8]; 2] = [&[0, 0, 0, 0, 0, 0, 0, 0, 3], b"note"];
        for bit in 0..13 * 8 {
            let mut changed = body.concat();
            changed[bit / 8] ^= 1 << (bit % 8);
            let sealed = seal(b"o", &[&changed]);
            if let Ok(stored) = StoredCheckpoint::unseal("o", &sealed) {
                assert_eq!(stored.seal("o"), sealed, "bit {bit}");
            }
            if let Ok(trust) = TrustRow::unseal("o", &sealed) {
                assert_eq!(trust.seal("o"), sealed, "bit {bit}");
            }
            let sealed = seal(&refused_key("o", 2), &[&changed]);
            let refused = RefusedNote::unseal("o", 2, &sealed).unwrap();
            assert_eq!(refused.seal("o", 2), sealed, "bit {bit}");
        }
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_found() {
        let stored = StoredCheckpoint { time: Timestamp::new(7).unwrap(), note: b"note".to_vec() };
        let sealed = stored.seal("o");
        for position in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[position / 8] ^= 1 << (position % 8);
            assert!(StoredCheckpoint::unseal("o", &changed).is_err(), "bit {position}");
        }
        for length in 0..sealed.len() {
            assert!(StoredCheckpoint::unseal("o", &sealed[..length]).is_err(), "{length}");
        }
        assert_eq!(StoredCheckpoint::unseal("p", &sealed), Err(RowFault::Checksum), "its key too");
        let beyond = seal(b"o", &[&u64::MAX.to_be_bytes()]);
        assert_eq!(StoredCheckpoint::unseal("o", &beyond), Err(RowFault::Time));
        let unknown = seal(b"o", &[&[2], &[0; 8]]);
        assert_eq!(TrustRow::unseal("o", &unknown), Err(RowFault::State));
        assert_eq!(unseal(b"o", &[2, 0, 0, 0, 0]), Err(RowFault::Version { found: 2 }));
    }
}
