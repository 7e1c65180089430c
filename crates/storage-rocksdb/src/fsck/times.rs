//! The times in the entries of an audit log: each entry has one, and none is before that of the entry
//! before it.

use merkle::LeafIndex;
use storage::{LogKind, LogRecord, stamp};

use super::Damage;

/// The times of the entries passed so far.
#[derive(Debug)]
pub(super) struct TimeCheck {
    kind: LogKind,
    newest_ns: u64,
}

impl TimeCheck {
    pub(super) fn new(record: &LogRecord) -> Self {
        Self { kind: record.kind, newest_ns: 0 }
    }

    /// Passes the next entry.
    pub(super) fn entry(&mut self, index: LeafIndex, entry: &[u8], found: &mut dyn FnMut(Damage)) {
        if self.kind == LogKind::Plain {
            return;
        }
        let Some(time_ns) = stamp::time_ns(entry) else {
            return found(Damage::TimeMissing { index });
        };
        if time_ns < self.newest_ns {
            found(Damage::TimeBack { index });
        }
        self.newest_ns = self.newest_ns.max(time_ns);
    }
}
