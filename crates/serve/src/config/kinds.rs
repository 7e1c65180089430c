//! The kinds of values that settings have. Each is read from one text, whoever gave it.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{BoolValueParser, MapValueParser, TypedValueParser as _, ValueParserFactory};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

use super::listen::Address;

const HOUR_MS: u64 = 3_600_000;
const DAY_S: u64 = 86_400;
/// A hundred years.
const SPAN_MAX_S: u64 = 36_500 * DAY_S;

/// A kind of value.
pub trait Kind: Sized {
    /// What a value must be.
    fn expected() -> String;

    /// The value that a text means, if it means one of this kind.
    fn of(text: &str) -> Option<Self>;

    /// Reads a text, or what TOML has natively for it. What does not fit is told with its own key.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// A text is not of the kind that is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be {expected}")]
pub struct Unfit {
    pub expected: String,
}

/// Reads a kind from the text of a flag, and from merged settings.
macro_rules! read_from_text {
    ([$($generics:tt)*] $kind:ty) => {
        impl<$($generics)*> FromStr for $kind {
            type Err = Unfit;

            fn from_str(text: &str) -> Result<Self, Unfit> {
                Self::of(text).ok_or_else(|| Unfit { expected: Self::expected() })
            }
        }

        impl<'de, $($generics)*> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::read(deserializer)
            }
        }
    };
}

read_from_text!([const MIN: u64, const MAX: u64] Bounded<MIN, MAX>);
read_from_text!([] Span);
read_from_text!([] Switch);
read_from_text!([] Text);
read_from_text!([] Address);
read_from_text!([T: Kind] Maybe<T>);

struct TextVisitor<T>(PhantomData<T>);

impl<T: Kind> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&T::expected())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::of(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
}

/// A number within bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The number, of things in memory.
    pub fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// How long that many milliseconds are.
    pub fn millis(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// Milliseconds, an hour at most.
pub type Millis<const MIN: u64> = Bounded<MIN, HOUR_MS>;

impl<const MIN: u64, const MAX: u64> Kind for Bounded<MIN, MAX> {
    fn expected() -> String {
        format!("a number from {MIN} to {MAX}")
    }

    fn of(text: &str) -> Option<Self> {
        number(text, MIN, MAX).map(Self)
    }
}

/// Digits alone, within bounds.
fn number(text: &str, min: u64, max: u64) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (min..=max).contains(&number).then_some(number)
}

/// A number and its unit, such as `90s` or `1d`: from a second to a hundred years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(Duration);

impl Span {
    /// How long that is.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl Kind for Span {
    fn expected() -> String {
        "a number with s, m, h or d behind it, from 1s to 36500d".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        let (digits, unit_s) = [('s', 1), ('m', 60), ('h', 3_600), ('d', DAY_S)]
            .into_iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
        let seconds = number(digits, 1, SPAN_MAX_S / unit_s)? * unit_s;
        Some(Self(Duration::from_secs(seconds)))
    }
}

/// `true` or `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch(bool);

impl Switch {
    /// Whether it is `true`.
    pub fn get(self) -> bool {
        self.0
    }
}

impl Kind for Switch {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// The flag's help names both values.
impl ValueParserFactory for Switch {
    type Parser = MapValueParser<BoolValueParser, fn(bool) -> Self>;

    fn value_parser() -> Self::Parser {
        BoolValueParser::new().map(Self)
    }
}

/// Any text; empty for the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// The text, unless it is empty.
    pub fn get(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }

    /// The path that it is, unless it is empty.
    pub fn path(&self) -> Option<PathBuf> {
        self.get().map(PathBuf::from)
    }
}

impl Kind for Text {
    fn expected() -> String {
        "a text".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

/// A value, or an empty text for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maybe<T>(Option<T>);

impl<T> Maybe<T> {
    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Kind> Kind for Maybe<T> {
    fn expected() -> String {
        format!("{}, or nothing", T::expected())
    }

    fn of(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self(None)) } else { T::of(text).map(Some).map(Self) }
    }
}

/// A value, and whether anybody set it: false where it is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Given<T>(pub T, pub bool);

impl<T: FromStr> FromStr for Given<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.parse().map(|value| Self(value, true))
    }
}

/// Tables or lists. Has no flag (`hide = true`); the environment takes a TOML value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Inline<T>(pub T);

impl<T: serde::de::DeserializeOwned> FromStr for Inline<T> {
    type Err = toml::de::Error;

    fn from_str(text: &str) -> Result<Self, toml::de::Error> {
        T::deserialize(text.parse::<toml::Value>()?).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_within_bounds() {
        type Few = Bounded<2, 5>;
        assert_eq!(["2", "5", "05"].map(|text| Few::of(text).map(Few::get)), [2, 5, 5].map(Some));
        for text in ["1", "6", "", "+3", "-3", "3.0", " 3", "3 ", "18446744073709551616"] {
            assert_eq!(Few::of(text), None, "{text}");
        }
        let most = Bounded::<0, { u64::MAX }>::of("18446744073709551615").unwrap();
        assert_eq!((most.get(), most.count()), (u64::MAX, usize::MAX));
        assert_eq!(Millis::<1>::of("3600000").unwrap().millis(), Duration::from_hours(1));
        assert_eq!(["0", "3600001"].map(Millis::<1>::of), [None, None]);
    }

    #[test]
    fn spans_have_a_unit_and_limits() {
        for (text, seconds) in
            [("1s", 1), ("90s", 90), ("15m", 900), ("12h", 43_200), ("36500d", 3_153_600_000)]
        {
            assert_eq!(Span::of(text).unwrap().get(), Duration::from_secs(seconds));
        }
        let over = ["36501d", "3153600001s", "18446744073709551615d"];
        let malformed = ["", "1", "s", "0s", "-1s", "+1s", "1.5h", "1 s", "1w", "1d1h", "1é"];
        for text in over.iter().chain(&malformed) {
            assert_eq!(Span::of(text), None, "{text}");
        }
    }

    #[test]
    fn switches_and_texts_are_what_they_say() {
        assert_eq!(["true", "false"].map(Switch::of), [true, false].map(|on| Some(Switch(on))));
        assert_eq!(["", "1", "True", "yes"].map(Switch::of), [None; 4]);
        assert_eq!(Text::of("").unwrap().path(), None);
        assert_eq!(Text::of("/d").unwrap().get(), Some("/d"));
    }

    #[test]
    fn a_text_that_does_not_fit_is_told_what_would() {
        let told = "6".parse::<Bounded<1, 5>>().unwrap_err().to_string();
        assert_eq!(told, "it must be a number from 1 to 5");
        assert_eq!("yes".parse::<Switch>().unwrap_err().to_string(), "it must be true or false");
        assert!("{ a = 1 }".parse::<Inline<toml::Table>>().is_ok());
        assert!("a = 1".parse::<Inline<toml::Table>>().is_err());
    }
}
