//! Events on disk, in order, while the server is away: a file each, so that several processes may add
//! some at a time, and an event may be as large as a log takes it.
//!
//! ```text
//! DIR/<unix ms, 15 digits>-<number in the process, 6 digits>-<16 hex digits>@<log>.event
//!                         one AuditEvent, with an id
//! DIR/refused/<name>      what the server refused: nobody sends it again
//! DIR/lock                held by the one process that sends
//! ```
//!
//! Durability: a file appears whole and synced, or not at all. One that was sent is removed after the
//! server has said that it is durable; if we crash in between, it is sent again and recognised by its id.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use base::clock::{Clock, SystemClock};
use base::durable;

use crate::error::{CliError, Exit, file_exit};
use crate::events::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, Draft, random_id};
use crate::files;

const SUFFIX: &str = ".event";
/// Events that may wait. A folder of more makes listing slow.
const EVENTS_MAX: usize = 100_000;
/// Bytes of a file: an event, and its id.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Why events cannot wait in a folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("another process sends what waits in {path}")]
    InUse { path: PathBuf },
    #[error("{path} holds {EVENTS_MAX} events, and no more may wait")]
    Full { path: PathBuf },
    #[error("{path} is not an event that waits")]
    Damaged { path: PathBuf },
}

impl SpoolError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } => file_exit(source),
            Self::Damaged { .. } => Exit::Unusable,
            Self::InUse { .. } | Self::Full { .. } => Exit::Failed,
        }
    }

    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that the folder of --spool may be written and has room",
            Self::InUse { .. } => "try again when it has ended",
            Self::Full { .. } => "bring the server back, and send with `cairn record --flush`",
            Self::Damaged { .. } => "look at the file, and move it away",
        }
    }
}

/// A folder where events wait.
#[derive(Debug)]
pub(super) struct Waiting {
    folder: PathBuf,
    pushed: Cell<u32>,
}

/// The oldest events of one log.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) log: String,
    pub(super) drafts: Vec<Draft>,
    pub(super) paths: Vec<PathBuf>,
    /// Held while they are sent.
    _lock: File,
}

impl Waiting {
    pub(super) fn open(folder: &Path) -> Result<Self, CliError> {
        // What events say may be personal.
        durable::create_dir_all(folder, 0o700).map_err(|error| failed("make", error))?;
        Ok(Self { folder: folder.to_owned(), pushed: Cell::new(0) })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds an event behind all others. It is on disk when this returns.
    pub(super) fn push(&self, log: &str, draft: &Draft) -> Result<(), CliError> {
        if self.names()?.len() >= EVENTS_MAX {
            return Err(SpoolError::Full { path: self.folder.clone() }.into());
        }
        let (ms, random) = (SystemClock::new().unix_ms(), random_id()?);
        let number = self.pushed.replace(self.pushed.get().saturating_add(1));
        let name = format!("{ms:015}-{number:06}-{}@{log}{SUFFIX}", &random[..16]);
        let created = durable::create_new(&self.folder.join(name), draft.text(), 0o600);
        created.map_err(|error| failed("write", error))
    }

    /// The events that were added first, as many of one log as one call takes; `None` if none waits.
    pub(super) fn oldest(&self) -> Result<Option<Batch>, CliError> {
        if self.names()?.is_empty() {
            return Ok(None);
        }
        let lock = self.lock()?;
        // Another process may have sent them before we held the lock.
        let names = self.names()?;
        let Some(log) = names.first().and_then(|name| log_of(name)).map(str::to_owned) else {
            return Ok(None);
        };
        let (mut drafts, mut paths, mut bytes) = (Vec::new(), Vec::new(), 0);
        for name in names.iter().take(BATCH_EVENTS_MAX) {
            if log_of(name) != Some(&log) || bytes >= BATCH_BYTES_MAX {
                break;
            }
            let path = self.folder.join(name);
            let text = files::read(&path, FILE_BYTES_MAX)?;
            bytes += text.len();
            let draft = Draft::new(&text, String::new).ok().filter(|draft| !draft.id().is_empty());
            drafts.push(draft.ok_or_else(|| SpoolError::Damaged { path: path.clone() })?);
            paths.push(path);
        }
        Ok(Some(Batch { log, drafts, paths, _lock: lock }))
    }

    fn lock(&self) -> Result<File, CliError> {
        let path = self.folder.join("lock");
        let io_error =
            |action| move |source, path: PathBuf| SpoolError::Io { action, path, source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|source| io_error("open")(source, path.clone()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                Err(SpoolError::InUse { path: self.folder.clone() }.into())
            }
            Err(fs::TryLockError::Error(source)) => Err(io_error("lock")(source, path).into()),
        }
    }

    /// The names of the events, in the order in which they were added.
    fn names(&self) -> Result<Vec<String>, CliError> {
        let unread = |source| SpoolError::Io { action: "list", path: self.folder.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(unread)? {
            let name = entry.map_err(unread)?.file_name();
            names.extend(name.to_str().filter(|name| log_of(name).is_some()).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }
}

impl Batch {
    /// Removes what the log has now, and lays aside what it refused.
    pub(super) fn settle(&mut self, refused: &[PathBuf]) -> Result<(), CliError> {
        for path in &self.paths {
            if refused.contains(path) {
                lay_aside(path)?;
                continue;
            }
            let io_error = |source| SpoolError::Io { action: "remove", path: path.clone(), source };
            fs::remove_file(path).map_err(io_error)?;
        }
        Ok(())
    }
}

fn lay_aside(path: &Path) -> Result<(), CliError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let aside = folder.join("refused");
    durable::create_dir_all(&aside, 0o700).map_err(|error| failed("make", error))?;
    durable::rename(path, &aside.join(name)).map_err(|error| failed("move", error))
}

fn failed(action: &'static str, error: durable::FileError) -> CliError {
    SpoolError::Io { action, path: error.path, source: error.source }.into()
}

/// The log of an event that waits, by the name of its file.
fn log_of(name: &str) -> Option<&str> {
    let (place, log) = name.strip_suffix(SUFFIX)?.split_once('@')?;
    let is_place = place.len() == 39
        && place.bytes().all(|it| it.is_ascii_digit() || matches!(it, b'a'..=b'f' | b'-'));
    (is_place && !log.is_empty()).then_some(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(id: &str) -> Draft {
        Draft::new(format!("{{\"id\":\"{id}\"}}").as_bytes(), String::new).unwrap()
    }

    fn ids(batch: &Batch) -> Vec<&str> {
        batch.drafts.iter().map(Draft::id).collect()
    }

    #[test]
    fn what_waits_comes_in_order_a_log_at_a_time_and_goes_when_it_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let waiting = Waiting::open(folder.path()).unwrap();
        for (log, id) in [("audit", "1"), ("audit", "2"), ("other", "3"), ("audit", "4")] {
            waiting.push(log, &draft(id)).unwrap();
        }
        let again = Waiting::open(folder.path()).unwrap();
        let mut first = again.oldest().unwrap().unwrap();
        assert_eq!((first.log.as_str(), ids(&first)), ("audit", vec!["1", "2"]));
        let in_use = again.oldest().unwrap_err();
        assert!(matches!(in_use, CliError::Spool(SpoolError::InUse { .. })), "{in_use:?}");
        let refused = vec![first.paths[1].clone()];
        first.settle(&refused).unwrap();
        drop(first);
        for (log, id) in [("other", "3"), ("audit", "4")] {
            let mut next = again.oldest().unwrap().unwrap();
            assert_eq!((next.log.as_str(), ids(&next)), (log, vec![id]));
            next.settle(&[]).unwrap();
        }
        assert!(again.oldest().unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path().join("refused")).unwrap().count(), 1);
    }

    #[test]
    fn files_of_others_are_left_alone_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let waiting = Waiting::open(folder.path()).unwrap();
        let make = |name: &str| File::create_new(folder.path().join(name)).unwrap();
        for name in ["notes.event", "x@audit.event", ".000000000000001-000000-0000000000000000.tmp"]
        {
            drop(make(name));
        }
        assert!(waiting.oldest().unwrap().is_none());
        drop(make("000000000000001-000000-0123456789abcdef@audit.event"));
        let damaged = waiting.oldest().unwrap_err();
        assert!(matches!(damaged, CliError::Spool(SpoolError::Damaged { .. })), "{damaged:?}");
    }
}
