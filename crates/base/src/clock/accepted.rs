//! The file `clock-accepted`: what an operator, or a quorum of witnesses, accepted of a clock that shows an
//! earlier time than some signatures state. Without it every start until that time would be one with a clock
//! behind the store.
//!
//! ```text
//! cairn clock 1 <wall clock when it was accepted> <latest time signed by then>
//! ```
//!
//! One line, both times in milliseconds since the Unix epoch, in decimal.

use std::path::Path;

use crate::durable::{self, FileError};

/// What the line begins with; the number is the form's version.
const HEAD: &str = "cairn clock 1";
/// Longer than any line of this form.
const BYTES_MAX: u64 = 128;

/// A clock that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What it showed, in milliseconds since the Unix epoch: a right clock shows no earlier time since.
    pub wall_ms: i64,
    /// The latest time that was signed by then. A later one was signed by a clock that was believed since.
    pub newest_ms: i64,
}

impl Accepted {
    /// Reads the file; `None` where there is none that can be used. A damaged one only means that the clock
    /// must be accepted again.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = std::fs::metadata(path).ok()?.len();
        let text = (bytes <= BYTES_MAX).then(|| std::fs::read_to_string(path).ok()).flatten();
        let accepted = text.and_then(|text| Self::parse(&text));
        if accepted.is_none() {
            tracing::warn!(path = %path.display(), "not a record of an accepted clock: ignored");
        }
        accepted
    }

    /// Writes the file. The naming is the commit point: before it the last one stands.
    pub fn write(self, path: &Path) -> Result<(), FileError> {
        durable::replace(path, self.line().as_bytes(), 0o600)
    }

    /// The earliest time that the clock may show now, where `newest_ms` is the latest that is signed.
    pub fn floor_ms(self, newest_ms: i64) -> i64 {
        if newest_ms <= self.newest_ms { newest_ms.min(self.wall_ms) } else { newest_ms }
    }

    fn line(self) -> String {
        format!("{HEAD} {} {}\n", self.wall_ms, self.newest_ms)
    }

    fn parse(text: &str) -> Option<Self> {
        let (wall, newest) =
            text.strip_prefix(HEAD)?.strip_prefix(' ')?.strip_suffix('\n')?.split_once(' ')?;
        let parsed = Self { wall_ms: wall.parse().ok()?, newest_ms: newest.parse().ok()? };
        (parsed.line() == text).then_some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock-accepted");
        assert_eq!(Accepted::read(&path), None);
        for accepted in [
            Accepted { wall_ms: 0, newest_ms: 1 },
            Accepted { wall_ms: i64::MIN, newest_ms: i64::MAX },
        ] {
            accepted.write(&path).unwrap();
            assert_eq!(Accepted::read(&path), Some(accepted));
        }
    }

    #[test]
    fn another_text_is_none() {
        for text in [
            "",
            "\n",
            "cairn clock 1 1 2",
            "cairn clock 1 1\n",
            "cairn clock 1 1 2 3\n",
            "cairn clock 2 1 2\n",
            "cairn clock 1 01 2\n",
            "cairn clock 1 +1 2\n",
            "cairn clock 1  1 2\n",
            "cairn clock 1 1 9223372036854775808\n",
        ] {
            assert_eq!(Accepted::parse(text), None, "{text:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock-accepted");
        durable::replace(&path, &[b'1'; 200], 0o600).unwrap();
        assert_eq!(Accepted::read(&path), None);
    }

    #[test]
    fn it_counts_as_long_as_nothing_later_is_signed() {
        let accepted = Accepted { wall_ms: 100, newest_ms: 500 };
        assert_eq!(accepted.floor_ms(500), 100);
        assert_eq!(accepted.floor_ms(501), 501);
        assert_eq!(accepted.floor_ms(50), 50, "an older store asks for less");
    }
}
