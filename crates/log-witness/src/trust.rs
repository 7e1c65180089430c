//! `cairn-witness trust`: the operator's way back, on a store that nobody serves.

use formats::Origin;

use crate::store::{Store, StoreError, TrustRow, Write};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// There is evidence against the log; it stays served.
    pub despite_evidence: bool,
    /// The log was known by keys, which are forgotten: those of its file are taken at the next start.
    pub forgot_keys: bool,
}

/// Trusts a log again. One durable write.
///
/// # Errors
/// The store cannot be read or written.
pub fn run(store: &Store, origin: &Origin) -> Result<Decision, StoreError> {
    let row = store.trust(origin)?;
    let decision =
        Decision { despite_evidence: row.is_some(), forgot_keys: store.keys(origin)?.is_some() };
    let mut writes = vec![Write::ForgetKeys { origin: origin.clone() }];
    writes.extend(row.map(|row| {
        let row = TrustRow { trusted: true, ..row };
        Write::Trust { origin: origin.clone(), row }
    }));
    store.commit(&writes)?;
    Ok(decision)
}
