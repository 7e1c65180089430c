//! Whether a log may take entries. A log with witnesses takes none before they have said that nothing was
//! rolled back; the witness room writes this, admission reads it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::error::AppendError;

/// How long a caller should wait while witnesses have not answered.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The gate of one log. The task that asks the witnesses opens it; a submitter that finds a newer head of
/// ours closes it for good.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU8);

const OPEN: u8 = 0;
const WAITING: u8 = 1;
const REFUSED: u8 = 2;

impl Gate {
    pub(crate) fn open() -> Self {
        Self(AtomicU8::new(OPEN))
    }

    pub(crate) fn waiting() -> Self {
        Self(AtomicU8::new(WAITING))
    }

    /// The witnesses hold nothing newer, so the log takes entries. A log that was closed stays
    /// closed.
    pub(crate) fn pass(&self) {
        // The other states are final.
        let _changed =
            self.0.compare_exchange(WAITING, OPEN, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    }

    /// A witness holds a newer head of this log.
    pub(crate) fn refuse(&self) {
        self.0.store(REFUSED, Ordering::SeqCst);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst) == OPEN
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.0.load(Ordering::SeqCst) == WAITING
    }

    pub(crate) fn check(&self) -> Result<(), AppendError> {
        match self.0.load(Ordering::Relaxed) {
            OPEN => Ok(()),
            WAITING => Err(AppendError::WitnessesPending { retry_after: RETRY_AFTER }),
            _ => Err(AppendError::RolledBack),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_final() {
        let gate = Gate::waiting();
        assert!(matches!(gate.check(), Err(AppendError::WitnessesPending { .. })));
        gate.pass();
        gate.check().unwrap();
        gate.refuse();
        gate.pass();
        assert!(matches!(gate.check(), Err(AppendError::RolledBack)));
    }
}
