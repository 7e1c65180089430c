//! What witnesses answer, by what the asker can do about it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use merkle::TreeSize;

/// The media type of a size in a 409.
const SIZE_TYPE: &str = "text/x.tlog.size";
/// The longest pause a witness can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// How much of a refusal's text is kept, in characters.
const EXCERPT_CHARS: usize = 200;

/// A witness's answer to `add-checkpoint`. Nothing in it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: signature lines.
    Cosigned(Bytes),
    /// 409: it holds another size. The size is missing where the answer is not of the specified form.
    Conflict {
        /// The size it claims to hold.
        size: Option<TreeSize>,
    },
    /// 422: the proof does not hold, or its root at this size is another.
    Unprocessable {
        /// The beginning of its text.
        said: String,
    },
    /// 403 or 404: it does not know the log, or trusts none of its keys.
    Unknown {
        /// The status.
        status: u16,
        /// The beginning of its text.
        said: String,
    },
    /// 429 or 503: not now.
    Busy {
        /// The status.
        status: u16,
        /// What it asked to wait, at most five minutes.
        retry_after: Option<Duration>,
        /// The beginning of its text.
        said: String,
    },
    /// Anything else. Some witnesses answer 500 where they mean 403 or 404.
    Refused {
        /// The status.
        status: u16,
        /// The beginning of its text.
        said: String,
    },
}

impl Answer {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let code = status.as_u16();
        match code {
            200 => Self::Cosigned(body),
            403 | 404 => Self::Unknown { status: code, said: excerpt(&body) },
            409 => Self::Conflict { size: claimed_size(headers, &body) },
            422 => Self::Unprocessable { said: excerpt(&body) },
            429 | 503 => {
                Self::Busy { status: code, retry_after: retry_after(headers), said: excerpt(&body) }
            }
            _ => Self::Refused { status: code, said: excerpt(&body) },
        }
    }
}

/// A decimal and a newline, under its own media type.
fn claimed_size(headers: &HeaderMap, body: &[u8]) -> Option<TreeSize> {
    let media = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media = media.split(';').next().unwrap_or_default().trim();
    let digits = std::str::from_utf8(body).ok()?.strip_suffix('\n')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !media.eq_ignore_ascii_case(SIZE_TYPE) || !plain || !canonical {
        return None;
    }
    TreeSize::new(digits.parse().ok()?).ok()
}

/// Seconds; the form with a date is left alone.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// One line for a log: what the other side says is not to forge ours.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.trim().chars().take(EXCERPT_CHARS).map(printable).collect()
}

fn printable(character: char) -> char {
    match character {
        character if character.is_control() || character.is_whitespace() => ' ',
        // What has no form of its own, or turns the direction of what follows.
        character if character.escape_debug().len() > 2 => char::REPLACEMENT_CHARACTER,
        character => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            map.insert(name, value.parse().unwrap());
        }
        Answer::of(StatusCode::from_u16(status).unwrap(), &map, Bytes::from(body))
    }

    fn size(body: &'static str) -> Option<u64> {
        match answer(409, &[("content-type", "text/x.tlog.size")], body) {
            Answer::Conflict { size } => size.map(TreeSize::get),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_conflict_names_a_size_in_one_form_only() {
        assert_eq!(size("0\n"), Some(0));
        assert_eq!(size("20852014\n"), Some(20_852_014));
        assert_eq!(size("9223372036854775807\n"), Some(u64::MAX >> 1));
        for body in ["", "\n", "7", "7\n\n", "07\n", "+7\n", "-7\n", " 7\n", "7 \n", "seven\n"] {
            assert_eq!(size(body), None, "{body:?}");
        }
        assert_eq!(size("9223372036854775808\n"), None);
        assert_eq!(size("99999999999999999999\n"), None);
        let typed = |media| answer(409, &[("content-type", media)], "7\n");
        let known = Answer::Conflict { size: TreeSize::new(7).ok() };
        assert_eq!(typed("Text/X.Tlog.Size; charset=utf-8"), known);
        assert_eq!(typed("text/plain"), Answer::Conflict { size: None });
        assert_eq!(answer(409, &[], "7\n"), Answer::Conflict { size: None });
    }

    #[test]
    fn a_pause_is_bounded() {
        let busy = |value| answer(429, &[("retry-after", value)], "");
        let after = |seconds: Option<u64>| Answer::Busy {
            status: 429,
            retry_after: seconds.map(Duration::from_secs),
            said: String::new(),
        };
        assert_eq!(busy("3"), after(Some(3)));
        assert_eq!(busy("99999999"), after(Some(300)));
        assert_eq!(busy("tomorrow"), after(None));
        assert_eq!(answer(429, &[], ""), after(None));
    }

    #[test]
    fn a_witness_that_cannot_now_says_why_in_one_printable_line() {
        let said = |body: &'static str| match answer(503, &[("retry-after", "1")], body) {
            Answer::Busy { status: 503, retry_after: Some(_), said } => said,
            other => panic!("{other:?}"),
        };
        assert_eq!(said("clock is 61 s behind\n"), "clock is 61 s behind");
        assert_eq!(said("a\r\nWARN forged\u{1b}[2J\u{2028}b"), "a  WARN forged [2J b");
        assert_eq!(
            said("to\u{202e}desrever \u{200b}été 'q' \"q\""),
            "to\u{fffd}desrever \u{fffd}été 'q' \"q\""
        );
        assert_eq!(said(" \n"), "");
        let long: &'static str = "é".repeat(EXCERPT_CHARS + 1).leak();
        assert_eq!(said(long).chars().count(), EXCERPT_CHARS);
    }

    #[test]
    fn refusals_are_told_apart_and_their_text_is_one_line() {
        assert_eq!(answer(200, &[], "x"), Answer::Cosigned(Bytes::from("x")));
        let said = |said: &str| said.to_owned();
        assert_eq!(
            answer(403, &[], "no\r\nkey\n"),
            Answer::Unknown { status: 403, said: said("no  key") }
        );
        assert_eq!(answer(422, &[], ""), Answer::Unprocessable { said: said("") });
        assert_eq!(answer(500, &[], "?"), Answer::Refused { status: 500, said: said("?") });
        assert_eq!(answer(301, &[], "?"), Answer::Refused { status: 301, said: said("?") });
    }
}
