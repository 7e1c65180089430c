//! Messages on a TCP or TLS connection (RFC 6587, RFC 5425): octet-counted, `LEN SP MSG`, or a line
//! each. The sender may use either; a count is one only with a message behind it.

/// Digits of a count.
const COUNT_DIGITS_MAX: usize = 10;

/// One message as it was sent, without its count or line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The message was longer, or the connection ended inside it.
    pub is_cut: bool,
}

/// Cuts a stream into messages, as its bytes come. Holds no more than the bytes of one message and
/// what was pushed last.
#[derive(Debug)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Of a longer message this many bytes are kept.
    frame_bytes_max: usize,
    /// Bytes at the front of the buffer that are known to have no line end.
    searched: usize,
    skip: Skip,
}

/// The rest of a message that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    Bytes(usize),
    Line,
}

/// What stands at the front of the buffer.
enum Front {
    Counted {
        header: usize,
        length: usize,
    },
    Line,
    /// More bytes are needed to say.
    Unknown,
}

impl Splitter {
    /// A splitter for one connection.
    pub fn new(frame_bytes_max: usize) -> Self {
        Self { buffer: Vec::new(), frame_bytes_max, searched: 0, skip: Skip::Nothing }
    }

    /// Adds what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message that is complete.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if !self.skipped() {
            return None;
        }
        let between = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'\0');
        let blank = self.buffer.iter().take_while(|byte| between(byte)).count();
        self.consume(blank);
        match self.front() {
            Front::Unknown => None,
            Front::Counted { header, length } => self.counted(header, length),
            Front::Line => self.line(),
        }
    }

    /// The message that the end of the connection ends.
    pub fn finish(mut self) -> Option<Frame> {
        if self.skip != Skip::Nothing || self.buffer.is_empty() {
            return None;
        }
        let (header, is_cut) = match self.front() {
            Front::Counted { header, .. } => (header, true),
            Front::Line | Front::Unknown => (0, false),
        };
        let bytes = trimmed(&self.buffer.split_off(header));
        (!bytes.is_empty()).then_some(Frame { bytes, is_cut })
    }

    /// Drops the rest of a message that was too long. False if there is more of it to come.
    fn skipped(&mut self) -> bool {
        let (gone, rest) = match self.skip {
            Skip::Nothing => return true,
            Skip::Bytes(left) => {
                let gone = left.min(self.buffer.len());
                (gone, if gone < left { Skip::Bytes(left - gone) } else { Skip::Nothing })
            }
            Skip::Line => match self.buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, Skip::Nothing),
                None => (self.buffer.len(), Skip::Line),
            },
        };
        self.consume(gone);
        self.skip = rest;
        rest == Skip::Nothing
    }

    fn front(&self) -> Front {
        let digits = self.buffer.iter().take(COUNT_DIGITS_MAX + 1);
        let digits = digits.take_while(|byte| byte.is_ascii_digit()).count();
        match (self.buffer.first(), self.buffer.get(digits), self.buffer.get(digits + 1)) {
            (None, ..) => return Front::Unknown,
            _ if digits > COUNT_DIGITS_MAX => return Front::Line,
            (Some(b'1'..=b'9'), None, _) | (Some(b'1'..=b'9'), Some(b' '), None) => {
                return Front::Unknown;
            }
            (Some(b'1'..=b'9'), Some(b' '), Some(b'<')) => {}
            _ => return Front::Line,
        }
        let count = std::str::from_utf8(&self.buffer[..digits]).ok();
        match count.and_then(|count| count.parse().ok()) {
            Some(length) => Front::Counted { header: digits + 1, length },
            None => Front::Line,
        }
    }

    fn counted(&mut self, header: usize, length: usize) -> Option<Frame> {
        let kept = length.min(self.frame_bytes_max);
        let bytes = self.buffer.get(header..header + kept)?.to_vec();
        self.consume(header + kept);
        if length > kept {
            self.skip = Skip::Bytes(length - kept);
        }
        Some(Frame { bytes, is_cut: length > kept })
    }

    fn line(&mut self) -> Option<Frame> {
        let unseen = &self.buffer[self.searched..];
        let end = unseen.iter().position(|byte| *byte == b'\n').map(|at| self.searched + at);
        if let Some(end) = end.filter(|end| *end <= self.frame_bytes_max) {
            let bytes = trimmed(&self.buffer[..end]);
            self.consume(end + 1);
            return Some(Frame { bytes, is_cut: false });
        }
        self.searched = self.buffer.len();
        if self.buffer.len() <= self.frame_bytes_max {
            return None;
        }
        let bytes = self.buffer[..self.frame_bytes_max].to_vec();
        self.consume(self.frame_bytes_max);
        self.skip = Skip::Line;
        Some(Frame { bytes, is_cut: true })
    }

    fn consume(&mut self, bytes: usize) {
        if bytes > 0 {
            self.buffer.drain(..bytes);
            self.searched = 0;
        }
    }
}

/// A line without carriage returns and NULs at its end, which some senders put there.
fn trimmed(line: &[u8]) -> Vec<u8> {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\0' | b'\n');
    let ends = line.iter().rev().take_while(|byte| is_end(byte)).count();
    line[..line.len() - ends].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(stream: &[u8], step: usize, max: usize) -> Vec<(String, bool)> {
        let mut splitter = Splitter::new(max);
        let mut found = Vec::new();
        for chunk in stream.chunks(step) {
            splitter.push(chunk);
            while let Some(frame) = splitter.next_frame() {
                found.push(frame);
            }
        }
        found.extend(splitter.finish());
        let shown =
            |frame: Frame| (String::from_utf8_lossy(&frame.bytes).into_owned(), frame.is_cut);
        found.into_iter().map(shown).collect()
    }

    fn whole(texts: &[&str]) -> Vec<(String, bool)> {
        texts.iter().map(|text| ((*text).to_owned(), false)).collect()
    }

    #[test]
    fn counts_and_lines_may_follow_one_another() {
        let stream = "11 <13>one\ntwo9 <13>café\n<13>line\r\n\n\0<13>2 x\n12 monkeys\n2026-03-04 old\n<13>last";
        let expected = [
            "<13>one\ntwo",
            "<13>café",
            "<13>line",
            "<13>2 x",
            "12 monkeys",
            "2026-03-04 old",
            "<13>last",
        ];
        for step in 1..=stream.len() {
            assert_eq!(frames(stream.as_bytes(), step, 100), whole(&expected), "{step}");
        }
    }

    #[test]
    fn what_is_longer_is_cut_and_its_rest_passed_over() {
        let stream = b"13 <13>3456789ab<13>3456789ab\n10 <13>456789<13>456789\n<1>";
        let expected = [
            ("<13>345678", true),
            ("<13>345678", true),
            ("<13>456789", false),
            ("<13>456789", false),
            ("<1>", false),
        ];
        for step in 1..=stream.len() {
            let found = frames(stream, step, 10);
            let found: Vec<_> = found.iter().map(|(text, cut)| (text.as_str(), *cut)).collect();
            assert_eq!(found, expected, "{step}");
        }
        assert_eq!(
            frames(b"9999999999 <13>456789 and more", 4, 10),
            [("<13>456789".to_owned(), true)]
        );
    }

    #[test]
    fn an_end_inside_a_counted_message_shows() {
        assert_eq!(frames(b"20 <13>half", 3, 100), [("<13>half".to_owned(), true)]);
        assert_eq!(frames(b"20", 3, 100), whole(&["20"]));
        assert_eq!(frames(b"\n\r\n", 1, 100), []);
    }

    proptest! {
        #[test]
        fn arbitrary_streams_never_panic(stream in "[0-9<> \n\r\u{0}a]{0,60}", step in 1_usize..8, max in 1_usize..12) {
            let some = frames(stream.as_bytes(), step, max);
            prop_assert_eq!(some, frames(stream.as_bytes(), 60, max));
        }
    }
}
