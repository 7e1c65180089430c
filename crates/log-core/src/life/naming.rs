//! What a caller may name a new log.

use formats::Origin;

use crate::error::CreateError;

/// How much of a refused name or origin its error repeats.
const EXCERPT_CHARS: usize = 80;

/// The beginning of a text from outside, for an error that says what is wrong with it. The whole text may
/// have megabytes, and an error travels in headers.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).collect()
}

/// Our own origins name our keys, so they follow the rules of key names.
pub(super) fn own_origin(origin: &str) -> Result<Origin, CreateError> {
    let bad = || CreateError::BadOrigin { origin: excerpt(origin) };
    let origin = Origin::new(origin).map_err(|_| bad())?;
    origin.key_name().map_err(|_| bad())?;
    Ok(origin)
}
