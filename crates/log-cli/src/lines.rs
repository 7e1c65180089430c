//! Lines of a file or of stdin, each bounded.

use std::io::{self, BufRead, Read as _};

use audit_event::json::EVENT_BYTES_MAX;

/// The UTF-8 mark that some editors put before a text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes of a line: an event, and room for white space.
const LINE_BYTES_MAX: usize = EVENT_BYTES_MAX + 64 * 1024;

/// A line that holds something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadLine {
    /// From 1.
    pub(crate) number: u64,
    /// Without its end; `None` if it is longer than any event.
    pub(crate) text: Option<Vec<u8>>,
}

/// Reads lines one by one. Empty ones are counted and passed over.
pub(crate) struct Lines<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn of(reader: R) -> Self {
        Self { reader, number: 0 }
    }

    /// What was not read yet.
    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<ReadLine>> {
        loop {
            let mut text = Vec::new();
            let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
            if self.reader.by_ref().take(limit).read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if text.len() == LINE_BYTES_MAX && !text.ends_with(b"\n") {
                self.pass_over()?;
                return Ok(Some(ReadLine { number: self.number, text: None }));
            }
            let unmarked = text.strip_prefix(MARK).filter(|_| self.number == 1).unwrap_or(&text);
            let kept = unmarked.trim_ascii();
            if !kept.is_empty() {
                return Ok(Some(ReadLine { number: self.number, text: Some(kept.to_vec()) }));
            }
        }
    }

    /// Passes over the rest of a line that is too long.
    fn pass_over(&mut self) -> io::Result<()> {
        self.reader.skip_until(b'\n').map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_bounded() {
        let long = "x".repeat(LINE_BYTES_MAX);
        let text = format!("\u{feff}a\r\n\n b \n{long}\n{}\nend", &long[1..]);
        let mut lines = Lines::of(text.as_bytes());
        let mut next = || {
            let line = lines.next().unwrap()?;
            Some((line.number, line.text.map(|text| text.len())))
        };
        assert_eq!(next(), Some((1, Some(1))));
        assert_eq!(next(), Some((3, Some(1))));
        assert_eq!(next(), Some((4, None)));
        assert_eq!(next(), Some((5, Some(LINE_BYTES_MAX - 1))));
        assert_eq!(next(), Some((6, Some(3))));
        assert_eq!(next(), None);
    }
}
