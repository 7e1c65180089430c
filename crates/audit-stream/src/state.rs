//! What a lane remembers across starts, in `DATA/destinations/NAME`:
//!
//! ```text
//! LOG.cursor   cairn/destination-cursor@v1 ⏎ index of the first event that is not done ⏎
//! LOG.dead     cairn/dead-letters@v1 ⏎ a line each, by index: index, milliseconds, status, word ⏎
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base::durable::{self, FileError};

use crate::reply::Reason;

/// Dead letters of one log at one destination.
pub(crate) const DEAD_MAX: usize = 10_000;
/// Bytes of a file that is read: those of as many dead letters as there may be.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

const CURSOR: &str = "cairn/destination-cursor@v1\n";
const DEAD: &str = "cairn/dead-letters@v1\n";

/// A record that the destination will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) at_ms: u64,
    pub(crate) reason: Reason,
}

/// Dead letters, by index.
pub(crate) type DeadLetters = BTreeMap<u64, Dead>;

/// Why a lane does not know where it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{} is not what a destination remembers", path.display())]
    Form { path: PathBuf },
}

/// The files of one lane.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: PathBuf,
    log: String,
}

impl Files {
    pub(crate) fn new(root: &Path, destination: &str, log: &str) -> Self {
        Self { folder: root.join(destination), log: log.to_owned() }
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.log))
    }

    /// The cursor; zero if there is none yet. Blocks.
    pub(crate) fn cursor(&self) -> Result<u64, StateError> {
        let path = self.path("cursor");
        let Some(text) = read(&path)? else { return Ok(0) };
        let line = text.strip_prefix(CURSOR).and_then(|rest| rest.strip_suffix('\n'));
        line.and_then(number).ok_or(StateError::Form { path })
    }

    /// The commit point of what was sent: after it the events below are never sent again. Blocks.
    pub(crate) fn put_cursor(&self, next: u64) -> Result<(), FileError> {
        self.put("cursor", &format!("{CURSOR}{next}\n"))
    }

    /// Blocks.
    pub(crate) fn dead(&self) -> Result<DeadLetters, StateError> {
        let path = self.path("dead");
        let Some(text) = read(&path)? else { return Ok(DeadLetters::new()) };
        read_dead(&text).ok_or(StateError::Form { path })
    }

    /// Blocks.
    pub(crate) fn put_dead(&self, dead: &DeadLetters) -> Result<(), FileError> {
        let mut text = DEAD.to_owned();
        for (index, Dead { at_ms, reason: Reason { status, word } }) in dead {
            writeln!(text, "{index} {at_ms} {status} {word}").expect("a text takes any line");
        }
        self.put("dead", &text)
    }

    fn put(&self, ending: &str, text: &str) -> Result<(), FileError> {
        durable::create_dir_all(&self.folder, 0o700)?;
        durable::replace(&self.path(ending), text.as_bytes(), 0o600)
    }
}

fn read(path: &Path) -> Result<Option<String>, StateError> {
    let failed = |error| StateError::File(FileError::new(path, error));
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(StateError::Form { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(StateError::Form { path: path.to_owned() })
        }
        Err(error) => Err(failed(error)),
    }
}

/// Digits as they are written: no sign, no zero in front.
fn number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

fn read_dead(text: &str) -> Option<DeadLetters> {
    let mut dead = DeadLetters::new();
    for line in text.strip_prefix(DEAD)?.split_terminator('\n') {
        let fields: Vec<&str> = line.split(' ').collect();
        let [index, at_ms, status, word] = fields[..] else { return None };
        let status = u16::try_from(number(status)?).ok()?;
        let reason = Reason::new(status, word);
        let is_known = reason.word == word && dead.len() < DEAD_MAX;
        let letter = Dead { at_ms: number(at_ms)?, reason };
        if !is_known || dead.insert(number(index)?, letter).is_some() {
            return None;
        }
    }
    Some(dead)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(word: &str) -> Dead {
        Dead { at_ms: 5, reason: Reason::new(400, word) }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), "siem", "audit");
        assert_eq!(files.cursor().unwrap(), 0);
        assert!(files.dead().unwrap().is_empty());
        files.put_cursor(7).unwrap();
        let dead = DeadLetters::from([(3, letter("code_6")), (12, letter("too_large"))]);
        files.put_dead(&dead).unwrap();
        assert_eq!(files.cursor().unwrap(), 7);
        assert_eq!(files.dead().unwrap(), dead);
        let text = std::fs::read_to_string(folder.path().join("siem/audit.dead")).unwrap();
        assert_eq!(text, "cairn/dead-letters@v1\n3 5 400 code_6\n12 5 400 too_large\n");
    }

    #[test]
    fn what_is_damaged_is_not_taken_for_a_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), "siem", "audit");
        files.put_cursor(7).unwrap();
        for bad in
            ["", "7\n", "cairn/destination-cursor@v1\n07\n", "cairn/destination-cursor@v1\n7"]
        {
            durable::replace(&files.path("cursor"), bad.as_bytes(), 0o600).unwrap();
            assert!(matches!(files.cursor(), Err(StateError::Form { .. })), "{bad:?}");
        }
        for bad in [
            "",
            "1 2 3 a\n",
            "cairn/dead-letters@v1\n1 2 3\n",
            "cairn/dead-letters@v1\n1 2 3 A b\n",
        ] {
            durable::replace(&files.path("dead"), bad.as_bytes(), 0o600).unwrap();
            assert!(matches!(files.dead(), Err(StateError::Form { .. })), "{bad:?}");
        }
    }
}
