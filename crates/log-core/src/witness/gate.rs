//! Whether a log may take entries: not before the witnesses have said that nothing was rolled back.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::error::AppendError;

/// What a caller is told to wait while witnesses have not answered.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The gate of one log. Written by the task that asks the witnesses, and closed for good by a submitter
/// that finds a newer head of ours.
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

    /// The witnesses know nothing newer. What was refused stays so.
    pub(super) fn pass(&self) {
        // Another state than waiting is final, and needs no change.
        let _changed =
            self.0.compare_exchange(WAITING, OPEN, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    }

    /// Somebody holds a newer head of this log.
    pub(super) fn refuse(&self) {
        self.0.store(REFUSED, Ordering::SeqCst);
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst) == OPEN
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.0.load(Ordering::SeqCst) == WAITING
    }

    pub(super) fn check(&self) -> Result<(), AppendError> {
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
