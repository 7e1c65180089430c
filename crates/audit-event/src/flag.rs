//! What the server noticed about an event, by name.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// A name of lower-case letters, digits and `_`, at most 64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flag(Cow<'static, str>);

impl Flag {
    /// Another item of the same request has the same Kubernetes `auditID` and stage, which the caller
    /// may choose.
    pub const AUDIT_ID_SHARED: Self = Self(Cow::Borrowed("audit_id_shared"));
    /// Half of a surrogate pair, or bytes that are not UTF-8, became U+FFFD; RAW has them.
    pub const CHARACTERS_REPLACED: Self = Self(Cow::Borrowed("characters_replaced"));
    /// The event's own time is more than five minutes ahead of the receipt.
    pub const CLOCK_SKEW: Self = Self(Cow::Borrowed("clock_skew"));
    /// A name stood twice in one object or list of attributes; the first counts.
    pub const DUPLICATE_KEYS: Self = Self(Cow::Borrowed("duplicate_keys"));
    /// The same item identity came with another content; the id was made anew.
    pub const ID_REUSED: Self = Self(Cow::Borrowed("id_reused"));
    /// The content as received was longer than is kept.
    pub const RAW_CUT: Self = Self(Cow::Borrowed("raw_cut"));
    /// A syslog message of the older form, which has neither year nor zone.
    pub const RFC3164: Self = Self(Cow::Borrowed("rfc3164"));
    /// The source says that it cut the item before it sent it.
    pub const SOURCE_CUT: Self = Self(Cow::Borrowed("source_cut"));
    /// A syslog message that has no form known: all of it is its text.
    pub const SYSLOG_MALFORMED: Self = Self(Cow::Borrowed("syslog_malformed"));
    /// The time stated was altered to be one: digits beyond nanoseconds, a leap second, a guessed unit.
    pub const TIME_INVALID: Self = Self(Cow::Borrowed("time_invalid"));
    /// No time was stated; the time is that of receipt.
    pub const TIME_MISSING: Self = Self(Cow::Borrowed("time_missing"));
    /// Members were cut to their limits; `truncated` names them.
    pub const TRUNCATED: Self = Self(Cow::Borrowed("truncated"));
    /// The time was stated without a year; the year is that which is nearest to the receipt.
    pub const YEAR_GUESSED: Self = Self(Cow::Borrowed("year_guessed"));

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
