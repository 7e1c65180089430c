//! How values from outside are shown in a sentence.

use std::fmt::Write as _;

/// Characters of a value that a sentence shows.
const SHOWN_MAX: usize = 80;

/// A value, cut, with control and direction characters by their number: ⟨U+202E⟩.
pub(super) fn shown(value: &str) -> String {
    let mut out = String::new();
    for (position, character) in value.chars().enumerate() {
        if position == SHOWN_MAX {
            out.push('…');
            break;
        }
        if is_hidden(character) {
            write!(out, "⟨U+{:04X}⟩", u32::from(character))
                .expect("writing to a string cannot fail");
        } else {
            out.push(character);
        }
    }
    out
}

/// Control characters, characters that change the direction or the line, and those that show nothing.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

/// Digits in groups of three: 45,000. What is not a decimal number stays as it is.
pub(super) fn grouped(number: &str) -> String {
    let (sign, unsigned) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, fraction) =
        unsigned.split_once('.').map_or((unsigned, None), |(a, b)| (a, Some(b)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !fraction.is_none_or(digits) {
        return number.to_owned();
    }
    let mut out = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + &fraction.map_or_else(String::new, |fraction| format!(".{fraction}"))
}

/// `2026-12-01` as 1 Dec 2026. What is not such a date stays as it is.
pub(super) fn date(text: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts = || {
        crate::Instant::parse_utc(&format!("{text}T00:00:00Z")).ok()?;
        let month: usize = text.get(5..7)?.parse().ok()?;
        let day = text.get(8..10)?.trim_start_matches('0');
        Some(format!("{day} {} {}", MONTHS.get(month - 1)?, text.get(..4)?))
    };
    parts().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_and_hide_nothing() {
        assert_eq!(shown("a\r\n\u{202e}b\u{200b}"), "a⟨U+000D⟩⟨U+000A⟩⟨U+202E⟩b⟨U+200B⟩");
        assert_eq!(shown(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(shown(&"é".repeat(10_000)), "é".repeat(80) + "…");
    }

    #[test]
    fn numbers_and_dates_are_written_for_people() {
        for (number, expected) in [
            ("900", "900"),
            ("9000", "9,000"),
            ("-1234567.50", "-1,234,567.50"),
            ("1e5", "1e5"),
            ("12 000", "12 000"),
            ("", ""),
        ] {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!(date("2026-12-01"), "1 Dec 2026");
        for other in ["2026-13-01", "2026-02-30", "1 Dec", "", "2026-12-011"] {
            assert_eq!(date(other), other);
        }
    }
}
