//! What a destination made of an attempt. Nothing in here repeats what it said in words of its own: these
//! may quote an event.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use http_client::CallError;

/// Bytes of the word of a reason.
const WORD_BYTES_MAX: usize = 64;
/// The longest pause that a destination may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Why a record is a dead letter: a code of the destination, and a word for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The status of the record, or of the call.
    pub status: u16,
    /// The type of an error, such as `document_parsing_exception`.
    pub word: String,
}

impl Reason {
    /// A word of another form is replaced: a name has letters, digits and `_`.
    pub(crate) fn new(status: u16, word: &str) -> Self {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = (1..=WORD_BYTES_MAX).contains(&word.len()) && word.bytes().all(fits);
        let word = if is_name { word } else { "refused" };
        Self { status, word: word.to_owned() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.word)
    }
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The destination has it.
    Taken,
    /// It is to be sent again.
    Again,
    /// The destination will never take it.
    Dead(Reason),
}

/// What became of the records of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// All are there. Without a confirmation the destination may still lose them.
    Taken { is_confirmed: bool },
    /// A fate for each, in their order. With a pause before those that are sent again, or none.
    Fates { fates: Vec<Fate>, pauses: bool },
    /// All are to be sent again later.
    Later { why: Trouble, after: Option<Duration> },
    /// One of them is at fault, or they are too large together: a single one is a dead letter.
    Halve(Reason),
    /// Nothing will be taken until somebody acts.
    Stop(SetUp),
}

/// What passes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// No connection, or it ended before the answer.
    #[error("the destination cannot be reached")]
    Unreachable,
    /// No answer in time.
    #[error("the destination does not answer in time")]
    Late,
    /// An answer that is cut short or too long.
    #[error("the destination's answer cannot be read")]
    Cut,
    /// It says that it cannot take them now.
    #[error("the destination answers {status}")]
    Status {
        /// What it says.
        status: u16,
    },
    /// An answer that is none of the protocol: a page of a proxy, for example.
    #[error("the destination answers {status} with something else than its protocol has")]
    Strange {
        /// Its status.
        status: u16,
    },
    /// Some records are to be sent again.
    #[error("the destination takes only a part now")]
    Partly,
    /// The collector said that it took them, and not that they are stored.
    #[error("the destination does not acknowledge in time")]
    Unacknowledged,
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log,
    /// The cursor or the dead letters cannot be written.
    #[error("the cursor or the dead letters cannot be written")]
    File,
}

impl Trouble {
    pub(crate) fn of_call(error: &CallError) -> Self {
        match error {
            CallError::Timeout { .. } => Self::Late,
            CallError::Unreachable(_) => Self::Unreachable,
            CallError::BrokenOff(_) | CallError::TooLong { .. } | CallError::Redirect(_) => {
                Self::Cut
            }
        }
    }
}

/// What somebody has to set right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetUp {
    /// A status that no repetition changes.
    #[error("the destination answers {status}: check its address, the secret and what it allows")]
    Status {
        /// What it says.
        status: u16,
    },
    /// It sends us elsewhere.
    #[error("the destination redirects: give the address that it redirects to")]
    Redirect,
    /// The data stream is missing, closed or not to be written.
    #[error("the destination answers {status} for its index: check that it is there and open")]
    Index {
        /// What it says.
        status: u16,
    },
    /// A code of the HTTP Event Collector.
    #[error("the collector answers code {code}: check its token, its index and its channel")]
    Collector {
        /// The code.
        code: u16,
    },
    /// Acknowledgements are required, and there are none.
    #[error("the collector gives no acknowledgements: allow them for the token")]
    NoAcknowledgements,
    /// The limit of dead letters.
    #[error("it holds as many dead letters as it may: retry or skip them")]
    Full,
    /// The secret.
    #[error("the secret file cannot be read")]
    Secret,
    /// The cursor or the dead letters.
    #[error("the cursor or the dead letters cannot be read: bring them back, or remove them")]
    State,
    /// The machine's authorities, or no random numbers.
    #[error("the machine's certificate authorities or random numbers cannot be read")]
    Machine,
    /// A log of entries.
    #[error("the log is not an audit log")]
    NotAudit,
}

/// What an answer asks for, in whole seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// What a status says that means the same everywhere; `None` where the kind decides.
pub(crate) fn of_status(status: u16, headers: &HeaderMap) -> Option<Reply> {
    let after = retry_after(headers);
    match status {
        300..=399 => Some(Reply::Stop(SetUp::Redirect)),
        401 | 403..=407 | 410 | 415 => Some(Reply::Stop(SetUp::Status { status })),
        408 | 425 | 429 | 500..=599 => {
            Some(Reply::Later { why: Trouble::Status { status }, after })
        }
        413 => Some(Reply::Halve(Reason::new(status, "too_large"))),
        _ => None,
    }
}

/// An answer that means nothing in the protocol.
pub(crate) fn strange(status: u16) -> Reply {
    Reply::Later { why: Trouble::Strange { status }, after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_name_or_nothing() {
        assert_eq!(
            Reason::new(400, "document_parsing_exception").word,
            "document_parsing_exception"
        );
        for said in ["", "Ana's file", "a-b", &"x".repeat(65)] {
            assert_eq!(Reason::new(400, said).to_string(), "400 refused");
        }
    }

    #[test]
    fn a_pause_that_is_asked_for_is_bounded() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(of("2"), Some(Duration::from_secs(2)));
        assert_eq!(of("99999"), Some(RETRY_AFTER_MAX));
        assert_eq!(of("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(of("-1"), None);
    }
}
