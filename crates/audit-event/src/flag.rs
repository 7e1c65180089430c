//! What the server noticed about an event, by name.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// A name of lower-case letters, digits and `_`, at most 64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flag(Cow<'static, str>);

impl Flag {
    /// The event's own time is more than five minutes ahead of the receipt.
    pub const CLOCK_SKEW: Self = Self(Cow::Borrowed("clock_skew"));
    /// The same item identity came with another content; the id was made anew.
    pub const ID_REUSED: Self = Self(Cow::Borrowed("id_reused"));
    /// The content as received was longer than is kept.
    pub const RAW_CUT: Self = Self(Cow::Borrowed("raw_cut"));
    /// The time stated was altered to be one: digits beyond nanoseconds, a leap second, a guessed unit.
    pub const TIME_INVALID: Self = Self(Cow::Borrowed("time_invalid"));
    /// No time was stated; the time is that of receipt.
    pub const TIME_MISSING: Self = Self(Cow::Borrowed("time_missing"));
    /// Members were cut to their limits; `truncated` names them.
    pub const TRUNCATED: Self = Self(Cow::Borrowed("truncated"));

    /// A flag by its name.
    pub fn new(name: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = !name.is_empty() && name.len() <= 64 && name.bytes().all(fits);
        is_name.then(|| Self(Cow::Owned(name.to_owned())))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A set of flags, in the order of their names.
pub type Flags = BTreeSet<Flag>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_plain_names() {
        assert_eq!(Flag::new("clock_skew"), Some(Flag::CLOCK_SKEW));
        assert!(Flag::new(&"a".repeat(64)).is_some());
        for other in ["", "Clock", "a b", "a-b", "ä", &"a".repeat(65)] {
            assert_eq!(Flag::new(other), None, "{other}");
        }
    }
}
