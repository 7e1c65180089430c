//! What of a text is found: words, and the parts of identifiers.
//!
//! A text is cut at white space. A piece without punctuation is a word; a letter of Chinese, Japanese or
//! Korean is a word of its own. A piece with punctuation inside, as an address or a path has, gives its
//! words and each two that follow one another, together with what stands between them: so all of the piece
//! is asked for literally. A long piece of hexadecimal digits, as a UUID is, gives itself alone.

use std::ops::Range;

use crate::fold::{address, socket_address};

/// A piece of so many hexadecimal digits is one identifier.
const HEX_DIGITS_MIN: usize = 16;

/// A question of so many bytes with a digit in it also finds what begins with it.
const BEGINNING_BYTES_MIN: usize = 8;

/// A term that a question looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It stands there.
    Whole(String),
    /// What stands there begins with it.
    Beginning(String),
    /// All of these.
    All(Vec<Self>),
    /// One of these.
    Any(Vec<Self>),
}

/// The words of a folded text.
pub(crate) fn words(folded: &str) -> impl Iterator<Item = &str> {
    WordRanges { text: folded, at: 0 }.map(|range| &folded[range])
}

/// All terms by which a folded text is found. A term may come more than once.
pub(crate) fn terms(folded: &str, mut sink: impl FnMut(&str)) {
    for piece in folded.split_whitespace() {
        if !piece.bytes().any(|byte| byte.is_ascii_punctuation()) && piece.is_ascii() {
            sink(piece);
            continue;
        }
        let piece = trimmed(piece);
        if let Some(address) = address(piece) {
            sink(&address);
            continue;
        }
        if let Some(address) = socket_address(piece) {
            sink(&address);
        }
        let ranges: Vec<Range<usize>> = WordRanges { text: piece, at: 0 }.collect();
        if ranges.is_empty() {
            sink(piece);
            continue;
        }
        if ranges.len() > 1 && hex_digits(piece, &ranges).is_some_and(|it| it >= HEX_DIGITS_MIN) {
            sink(&piece[ranges[0].start..ranges[ranges.len() - 1].end]);
            continue;
        }
        for range in &ranges {
            sink(&piece[range.clone()]);
        }
        for pair in ranges.windows(2).filter(|pair| pair[0].end < pair[1].start) {
            sink(&piece[pair[0].start..pair[1].end]);
        }
    }
}

/// What a folded question asks for: every piece of it. A `*` at the end of a piece finds what begins with
/// the piece; elsewhere it is itself.
pub(crate) fn asked(folded: &str) -> Asked {
    Asked::All(folded.split_whitespace().map(asked_piece).collect())
}

fn asked_piece(piece: &str) -> Asked {
    let (piece, starred) = unstarred(piece);
    let piece = trimmed(piece);
    if let Some(address) = address(piece) {
        return Asked::Whole(address);
    }
    let goes_on = starred
        || (piece.len() >= BEGINNING_BYTES_MIN && piece.bytes().any(|byte| byte.is_ascii_digit()));
    let one = |text: &str, goes_on| {
        if goes_on { Asked::Beginning(text.to_owned()) } else { Asked::Whole(text.to_owned()) }
    };
    let ranges: Vec<Range<usize>> = WordRanges { text: piece, at: 0 }.collect();
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
        return one(piece, starred);
    };
    let mut all = Vec::new();
    for (at, range) in ranges.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| ranges.get(at));
        let after = ranges.get(at + 1);
        let is_last = after.is_none();
        match before {
            Some(before) if before.end < range.start => {
                all.push(one(&piece[before.start..range.end], goes_on && is_last));
            }
            // The first of a pair stands in the pair.
            _ if after.is_some_and(|after| range.end < after.start) => {}
            _ => all.push(one(&piece[range.clone()], goes_on && is_last)),
        }
    }
    let literal = if all.len() == 1 { all.remove(0) } else { Asked::All(all) };
    let is_identifier = ranges.len() > 1 && hex_digits(piece, &ranges).is_some();
    if is_identifier {
        let whole = one(&piece[first.start..last.end], goes_on);
        return Asked::Any(vec![whole, literal]);
    }
    literal
}

/// The text without a `*` at its end, and whether there was one.
pub(crate) fn unstarred(text: &str) -> (&str, bool) {
    match text.strip_suffix('*') {
        Some(rest) if !rest.is_empty() => (rest, true),
        _ => (text, false),
    }
}

/// Without the punctuation that encloses a piece in prose.
fn trimmed(piece: &str) -> &str {
    const AROUND: [char; 12] = [',', ';', '"', '\'', '(', ')', '{', '}', '<', '>', '!', '?'];
    let inner = piece.trim_start_matches(AROUND);
    let inner = inner.trim_end_matches(|letter| letter == '.' || AROUND.contains(&letter));
    // Of brackets only those around all of it: `[::1]:443` is an address with a port.
    let bracketed = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let inner = bracketed.unwrap_or(inner);
    if inner.is_empty() { piece } else { inner }
}

/// How many digits a piece has whose words are all hexadecimal.
fn hex_digits(piece: &str, words: &[Range<usize>]) -> Option<usize> {
    let is_hex = |word: &Range<usize>| piece[word.clone()].bytes().all(|it| it.is_ascii_hexdigit());
    words.iter().all(is_hex).then(|| words.iter().map(ExactSizeIterator::len).sum())
}

struct WordRanges<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for WordRanges<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = &self.text[self.at..];
        let mut letters = rest.char_indices().skip_while(|(_, letter)| !letter.is_alphanumeric());
        let (first, letter) = letters.next()?;
        let start = self.at + first;
        let goes_on = |letter: char| letter.is_alphanumeric() && !stands_alone(letter);
        let end = if stands_alone(letter) {
            start + letter.len_utf8()
        } else {
            letters.find(|(_, it)| !goes_on(*it)).map_or(self.text.len(), |(end, _)| self.at + end)
        };
        self.at = end;
        Some(start..end)
    }
}

/// Whether a letter is a word: those of Chinese, Japanese and Korean.
fn stands_alone(letter: char) -> bool {
    matches!(u32::from(letter),
        0x1100..=0x11ff | 0x3005..=0x3007 | 0x3040..=0x30ff | 0x3100..=0x318f | 0x31a0..=0x31bf
        | 0x31f0..=0x31ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0x20000..=0x3ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn terms_of(text: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        terms(&crate::fold::fold(text), |term| {
            found.insert(term.to_owned());
        });
        found
    }

    fn holds(terms: &BTreeSet<String>, asked: &Asked) -> bool {
        match asked {
            Asked::Whole(term) => terms.contains(term),
            Asked::Beginning(term) => terms.iter().any(|it| it.starts_with(&**term)),
            Asked::All(all) => all.iter().all(|it| holds(terms, it)),
            Asked::Any(any) => any.iter().any(|it| holds(terms, it)),
        }
    }

    fn finds(question: &str, text: &str) -> bool {
        holds(&terms_of(text), &asked(&crate::fold::fold(question)))
    }

    #[test]
    fn all_words_are_found_in_any_order() {
        let text = "Ana Silva deleted invoice 7 of 王小明 (\"urgent\").";
        for question in ["ana", "SILVA ana", "invoice 7", "王", "小明", "urgent", "dele*"] {
            assert!(finds(question, text), "{question}");
        }
        for question in ["an", "ana bob", "invoice 8", "王五", "del", "*"] {
            assert!(!finds(question, text), "{question}");
        }
    }

    const ARN: &str = "arn:aws:iam::111122223333:role/service-role-with-a-rather-long-name-end";
    const HASH: &str = "sha256:4a9909a9516d02fd4c729a45922398fb41c398c235423a5304085bc923a8db67";
    const UUID: &str = "0b7a1c5e-9f3d-4e2a-8c11-5d6e7f809a1b";

    #[test]
    fn identifiers_are_found_whole_and_by_their_beginning() {
        for text in [ARN, HASH, UUID] {
            for end in [21, 22, 30, text.len()] {
                assert!(finds(&text[..end], text), "{}", &text[..end]);
            }
            assert!(!finds(&format!("{text}x"), text));
        }
        assert!(finds("arn:aws:i*", ARN) && !finds("arn:aws:i", ARN) && finds("arn:aws:iam", ARN));
        assert!(finds("111122223333", ARN) && finds("service-role", ARN));
        assert!(!finds("role-service", ARN) && !finds("9516d02fd4c7", HASH));
        assert!(finds("4a9909a9516d", HASH) && finds("4a9909a9516D02FD4C72*", HASH));
    }

    #[test]
    fn punctuation_is_literal() {
        let path = "/srv/A/b_c%d*.txt";
        for question in [path, "b_c", "b_c%d*.txt", "srv/a", "c%d"] {
            assert!(finds(question, path), "{question}");
        }
        for question in ["b%c", "b_d", "%", "_", "b-c", "srv/*/b"] {
            assert!(!finds(question, path), "{question}");
        }
        assert!(finds("%", "50 % off") && !finds("_", "50 % off"));
        let mail = "ana+audit@example.com";
        assert!(finds(mail, mail) && finds("example.com", mail) && finds("audit", mail));
        assert!(!finds("ana@example.com", mail) && !finds(mail, "ana@example.com"));
    }

    #[test]
    fn addresses_have_one_form() {
        for text in ["2001:DB8:0:0:0:0:0:1", "from [2001:db8::1].", "[2001:db8::1]:443"] {
            assert!(finds("2001:db8::1", text), "{text}");
        }
        assert!(finds("::ffff:192.0.2.7", "at 192.0.2.7:80"));
        assert!(!finds("192.0.2.7", "192.0.2.70") && !finds("192.0.2", "192.0.2.7"));
    }
}
