//! The secret of an audit log at start. Without its own a log is served, and takes no events.

use base::secret::Secret;
use merkle::TreeSize;
use storage::{CommitOutcome, LogCommit, LogRecord, LogState, Row, SecretCheck, StoredHead};

use super::Opening;
use crate::error::StartError;
use crate::sign::KeyringError;

impl Opening<'_> {
    /// The secret of an audit log, if its own is there, or it can have a new one.
    pub(super) fn secret(
        &self,
        record: &mut LogRecord,
        head: &StoredHead,
    ) -> Result<Option<Secret>, StartError> {
        let Some(check) = record.secret_check else { return Ok(None) };
        let log = record.name.clone();
        let found = match self.keyring.secret(&log) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%log, %error, "the secret cannot be used, so the log takes no events");
                return Ok(None);
            }
        };
        if let Some(secret) = found.as_ref()
            && SecretCheck::of(secret.as_bytes()) == check
        {
            return Ok(found);
        }
        let writes = record.state == LogState::Active && !self.options.read_only;
        if writes && head.size == TreeSize::ZERO {
            return self.adopt_secret(record, head, found);
        }
        if found.is_some() {
            tracing::error!(%log, "another secret is there, so the log takes no events");
        } else {
            tracing::error!(%log, "the secret is missing, so the log takes no events");
        }
        Ok(None)
    }

    /// If an audit log has no entries, no key or digest was made with its secret. Its creation was cut
    /// short, or its backup did not hold the secret: it goes on with the one that is there, or with a
    /// new one. The row is the commit point: if we crash before it, the next start finds the file and
    /// does this again.
    fn adopt_secret(
        &self,
        record: &mut LogRecord,
        head: &StoredHead,
        found: Option<Secret>,
    ) -> Result<Option<Secret>, StartError> {
        let secret = match found.map_or_else(|| self.make_secret(record), Ok) {
            Ok(secret) => secret,
            Err(error) => {
                let log = &record.name;
                tracing::error!(%log, %error, "no secret can be made, so the log takes no events");
                return Ok(None);
            }
        };
        let adopted =
            LogRecord { secret_check: Some(SecretCheck::of(secret.as_bytes())), ..record.clone() };
        let commit = LogCommit {
            log: record.id,
            expected: Some(*head),
            new: *head,
            entries: Vec::new(),
            tiles: Vec::new(),
            rows: vec![Row::Log(adopted.clone())],
        };
        match self.options.engine.commit(&[commit]) {
            CommitOutcome::Committed => {}
            CommitOutcome::NotCommitted(error) | CommitOutcome::Ambiguous(error) => {
                return Err(error.into());
            }
            CommitOutcome::Conflict { .. } => unreachable!("nobody writes while logs are opened"),
        }
        *record = adopted;
        Ok(Some(secret))
    }

    fn make_secret(&self, record: &LogRecord) -> Result<Secret, KeyringError> {
        let secret = Secret::generate()?;
        self.keyring.store_secret(&record.name, &secret)?;
        Ok(secret)
    }
}
