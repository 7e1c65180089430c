//! The row of a log's record.

use formats::Origin;

use super::super::{Corrupt, Family, LogKind, LogName, LogRecord, LogState, RowFault, SecretCheck};
use super::fields::{Fields, seal};
use super::{Key, ROW_VERSION, corrupt, decode_key};

/// Bit 0 of a record's flags.
const FLAG_DEDUPLICATE_ENTRIES: u8 = 1;
/// Bit 1 of a record's flags.
const FLAG_AUDIT: u8 = 2;

/// A log record's value.
pub fn encode_record(key: &[u8], record: &LogRecord) -> Vec<u8> {
    let deduplicates = if record.deduplicate_entries { FLAG_DEDUPLICATE_ENTRIES } else { 0 };
    let kind = match record.kind {
        LogKind::Plain => 0,
        LogKind::Audit => FLAG_AUDIT,
    };
    let mut value = vec![ROW_VERSION, deduplicates | kind, encode_state(record.state)];
    value.extend_from_slice(&record.created_ms.to_be_bytes());
    for text in [record.name.as_str(), record.origin.as_str()] {
        value.push(u8::try_from(text.len()).expect("names and origins have at most 255 bytes"));
        value.extend_from_slice(text.as_bytes());
    }
    if let Some(SecretCheck(check)) = &record.secret_check {
        value.extend_from_slice(check);
    }
    seal(key, &mut value);
    value
}

/// Reads a log's record.
pub fn decode_record(key: &[u8], value: &[u8]) -> Result<LogRecord, Corrupt> {
    let mut rest = Fields::sealed(Family::Meta, key, value)?;
    rest.version()?;
    let (kind, deduplicate_entries) = match rest.byte()? {
        0 => (LogKind::Plain, false),
        FLAG_DEDUPLICATE_ENTRIES => (LogKind::Plain, true),
        FLAG_AUDIT => (LogKind::Audit, false),
        _ => return Err(rest.field("flags")),
    };
    let state = decode_state(rest.byte()?).ok_or_else(|| rest.field("state"))?;
    let created_ms = rest.u64()?;
    let name = LogName::new(rest.text("name")?).map_err(|_| rest.field("name"))?;
    let origin = rest.text("origin")?;
    let origin = Origin::new(origin).map_err(|_| rest.field("origin"))?;
    let secret_check = match kind {
        LogKind::Plain => None,
        LogKind::Audit => Some(SecretCheck(rest.array()?)),
    };
    rest.end()?;
    let Key::Record(id) = decode_key(Family::Meta, key)? else {
        return Err(corrupt(Family::Meta, key, RowFault::UnknownKey));
    };
    Ok(LogRecord { id, name, origin, created_ms, kind, secret_check, deduplicate_entries, state })
}

fn encode_state(state: LogState) -> u8 {
    match state {
        LogState::Active => 0,
        LogState::Draining => 1,
        LogState::Frozen => 2,
        LogState::Retired => 3,
    }
}

pub(super) fn decode_state(byte: u8) -> Option<LogState> {
    match byte {
        0 => Some(LogState::Active),
        1 => Some(LogState::Draining),
        2 => Some(LogState::Frozen),
        3 => Some(LogState::Retired),
        _ => None,
    }
}
