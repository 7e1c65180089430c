//! Rows of `events.csv`: RFC 4180, safe to open in a spreadsheet.

use std::fmt::Write as _;

use super::{COLUMNS, Row, SENTENCE};

/// What stands between cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// `,`
    Comma,
    /// `;`, which spreadsheets of some countries want.
    Semicolon,
}

impl Separator {
    fn character(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Semicolon => ';',
        }
    }
}

/// The first row, without the byte order mark that stands before it in a file for Excel.
pub fn csv_head(separator: Separator) -> String {
    joined(COLUMNS.iter().map(|name| (*name).to_owned()), separator)
}

/// The row of an event, with its end.
pub fn csv_row(row: &Row, separator: Separator) -> String {
    joined(row.cells().iter().map(|cell| cell_of(cell.as_deref())), separator)
}

/// A cell as it stands in the file: nothing where there is no value, `""` for an empty text.
pub fn cell_of(value: Option<&str>) -> String {
    let Some(value) = value else { return String::new() };
    let mut text = String::with_capacity(value.len() + 2);
    let is_formula = begins_like_a_formula(value) && !is_plain_number(value);
    if is_formula {
        text.push('\'');
    }
    for character in value.chars() {
        if is_hidden(character) {
            write!(text, "\\u{:04x}", u32::from(character))
                .expect("writing to a string cannot fail");
        } else {
            text.push(character);
        }
    }
    if is_formula || text.is_empty() || text.contains([',', ';', '"', '\r', '\n']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

/// The cells of the first row of a text, as they stand there, and how many bytes the row has; `None`
/// if no whole row is there. Quotes that are not closed, or not alone around a cell, make cells that
/// equal none of ours.
pub fn split_row(text: &str, separator: Separator) -> Option<(Vec<&str>, usize)> {
    let mut cells = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '\n' if !quoted && text[start..at].ends_with('\r') => {
                cells.push(&text[start..at - 1]);
                return Some((cells, at + 1));
            }
            other if !quoted && other == separator.character() => {
                cells.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// The first column in which cells of a file are not those of an event, the sentence aside.
pub fn csv_difference(found: &[&str], row: &Row) -> Option<&'static str> {
    let differs = |at: usize| {
        let expected = row.cells().get(at).map(|cell| cell_of(cell.as_deref()));
        at != SENTENCE && found.get(at).copied() != expected.as_deref()
    };
    let columns = COLUMNS.into_iter().enumerate();
    let first = columns.into_iter().find(|(at, _)| differs(*at)).map(|(_, column)| column);
    first.or_else(|| (found.len() != COLUMNS.len()).then_some("leaf_hash"))
}

fn joined(cells: impl Iterator<Item = String>, separator: Separator) -> String {
    let mut row = String::new();
    for (position, cell) in cells.enumerate() {
        if position > 0 {
            row.push(separator.character());
        }
        row.push_str(&cell);
    }
    row.push_str("\r\n");
    row
}

/// The characters that a spreadsheet takes for the beginning of a formula, their full-width forms, and
/// the apostrophe itself, so that removing one gives the text back.
fn begins_like_a_formula(text: &str) -> bool {
    text.starts_with([
        '=', '+', '-', '@', '\'', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ])
}

/// `-?[0-9]+(\.[0-9]+)?`
fn is_plain_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    }
}

/// Characters that change how a line reads without being seen.
fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{8}'
            | '\u{b}'
            | '\u{c}'
            | '\u{e}'..='\u{1f}'
            | '\u{7f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_safe_and_exact() {
        let cases = [
            ("Ana", "Ana"),
            ("O'Neil", "O'Neil"),
            ("=1+1", "\"'=1+1\""),
            ("+49 30 1234", "\"'+49 30 1234\""),
            ("-2+3", "\"'-2+3\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("\n=1", "\"'\n=1\""),
            ("\u{ff1d}1+1", "\"'\u{ff1d}1+1\""),
            ("'=1", "\"''=1\""),
            ("-2", "-2"),
            ("-2.50", "-2.50"),
            ("-2.", "\"'-2.\""),
            ("-", "\"'-\""),
            ("-1e5", "\"'-1e5\""),
            ("+7", "\"'+7\""),
            ("00123", "00123"),
            ("1E5", "1E5"),
            ("1,5", "\"1,5\""),
            ("a;b", "\"a;b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("  spaces  ", "  spaces  "),
            ("", "\"\""),
            ("ctl \0\u{1b}[31m", "ctl \\u0000\\u001b[31m"),
            ("rtl \u{202e}evil\u{202c}", "rtl \\u202eevil\\u202c"),
            ("tab\there", "tab\there"),
            ("\u{85}\u{2028}\u{2065}\u{206a}", "\u{85}\u{2028}\u{2065}\u{206a}"),
        ];
        for (value, cell) in cases {
            assert_eq!(cell_of(Some(value)), cell, "{value:?}");
        }
        assert_eq!(cell_of(None), "");
    }

    #[test]
    fn rows_come_apart_as_they_were_joined() {
        let values = ["a", "b,c", "d;e", "f\r\ng", "\"", ""];
        for separator in [Separator::Comma, Separator::Semicolon] {
            let cells = values.map(|value| cell_of(Some(value)));
            let row = joined(cells.iter().cloned(), separator);
            let (found, length) = split_row(&row, separator).unwrap();
            assert_eq!(found, cells);
            assert_eq!(length, row.len());
            for end in 0..row.len() {
                assert_eq!(split_row(&row[..end], separator), None);
            }
        }
        assert_eq!(split_row("a\nb\r\n", Separator::Comma).unwrap().0, ["a\nb"]);
    }
}
