//! Texts as search compares them: compatibility forms, case and accents are one.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;

/// The combining class of the Japanese voicing marks: they tell one letter from another.
const VOICING: u8 = 8;

/// The text in the one form that is compared: NFKC, without case and accents, and with one letter for
/// I, İ, ı and i.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    // There and back: it is what makes ß, ẞ and SS, ſ and s, ı and i one.
    let lower = text.nfkd().filter(|letter| !is_dropped(*letter)).flat_map(|letter| {
        letter.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
    });
    // A letter in lower case can come apart again, as İ does.
    Cow::Owned(lower.nfkd().filter(|letter| !is_dropped(*letter)).nfkc().collect())
}

/// Accents, and what has no form of its own.
fn is_dropped(letter: char) -> bool {
    let class = canonical_combining_class(letter);
    let is_accent = class != 0 && class != VOICING;
    is_accent || matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// An address in the one form that is compared, `None` if the text is not one. An IPv4 address in IPv6
/// is the IPv4 address.
pub fn address(text: &str) -> Option<String> {
    let address: IpAddr = text.parse().ok()?;
    Some(address.to_canonical().to_string())
}

/// The address of an address with a port.
pub(crate) fn socket_address(text: &str) -> Option<String> {
    let address: SocketAddr = text.parse().ok()?;
    Some(address.ip().to_canonical().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_forms_are_one() {
        for (one, other) in [
            ("José Núñez", "jose\u{301} nun\u{303}ez"),
            ("José", "JOSE"),
            ("WEISS", "weiß"),
            ("ẞ", "ss"),
            ("ışık", "IŞIK"),
            ("ipek", "İPEK"),
            ("ıI", "iİ"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ﬁle", "FILE"),
            ("Ｗａｎｇ", "wang"),
            ("ǅ", "ǆ"),
            ("a\u{200b}b", "AB"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        for (one, other) in [("か", "が"), ("王", "玉"), ("a", "b"), ("कि", "का")] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for text in ["İstanbul", "ẞß", "ΐ", "가각", "ﷺ", "ŉ", "ᾳ", "Å", "ǰ"] {
            let once = fold(text).into_owned();
            assert_eq!(fold(&once), once, "{text}");
        }
    }

    #[test]
    fn one_address_has_one_form() {
        for (text, wanted) in [
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:c000:207", "192.0.2.7"),
            ("192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(address(text).as_deref(), Some(wanted));
        }
        for other in ["192.0.2", "192.0.2.07", "host", "", "192.0.2.7:80"] {
            assert_eq!(address(other), None, "{other}");
        }
        assert_eq!(socket_address("[2001:db8::1]:443").as_deref(), Some("2001:db8::1"));
        assert_eq!(socket_address("2001:db8::1"), None);
    }
}
