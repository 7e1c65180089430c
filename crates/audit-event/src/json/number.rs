//! What a number of JSON becomes.

use crate::value::Integer;

/// How numbers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Of our own API: `1.0` and `1e3` become integers, other numbers their spelling. What no reader
    /// keeps exactly is refused: an integer beyond ±(2^53 − 1), or what a double cannot hold.
    Own,
    /// Of a foreign source: as above, and the spelling is taken where our own API refuses.
    Foreign,
    /// Of our own files: integers of ±(2^53 − 1) in their one spelling, nothing else.
    Refused,
}

/// What the spelling of a number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Integer(Integer),
    /// Not an integer, and within what a double holds.
    Fraction,
    /// An integer beyond ±(2^53 − 1), or a magnitude whose nearest double is infinite.
    Beyond,
}

/// Takes the spelling of a JSON number, whose syntax has been checked.
pub(super) fn classify(spelling: &str) -> Number {
    let (negative, unsigned) =
        spelling.strip_prefix('-').map_or((false, spelling), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Number::Integer(Integer::from(0));
    }
    // The value is `significant` × 10^`scale`. Saturating is exact enough: no text is long enough to
    // bring an exponent of 2^63 back into range.
    let zeros = length(digits).saturating_sub(length(significant));
    let scale = exponent_of(exponent).saturating_sub(length(fraction)).saturating_add(zeros);
    let Ok(scale) = usize::try_from(scale) else {
        let infinite = spelling.parse::<f64>().is_ok_and(f64::is_infinite);
        return if infinite { Number::Beyond } else { Number::Fraction };
    };
    if significant.len().saturating_add(scale) > INTEGER_DIGITS_MAX {
        return Number::Beyond;
    }
    let magnitude = format!("{significant}{}", "0".repeat(scale)).parse::<i64>();
    let integer = magnitude.ok().map(|value| if negative { -value } else { value });
    integer.and_then(Integer::new).map_or(Number::Beyond, Number::Integer)
}

/// Digits of 2^53 − 1.
const INTEGER_DIGITS_MAX: usize = 16;

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

fn exponent_of(digits: &str) -> i64 {
    let negative = digits.starts_with('-');
    digits.parse().unwrap_or(if negative { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_keep_their_value_in_any_spelling() {
        let spellings = [
            ("0", 0),
            ("-0", 0),
            ("-0.0e5", 0),
            ("0e99999999999999999999", 0),
            ("0.000e-99999999999999999999", 0),
            ("1.0", 1),
            ("1e3", 1_000),
            ("1E+3", 1_000),
            ("12.50e1", 125),
            ("1000e-3", 1),
            ("-1.5e1", -15),
            ("9007199254740991", 9_007_199_254_740_991),
            ("-9007199254740991.000", -9_007_199_254_740_991),
            ("9.007199254740991e15", 9_007_199_254_740_991),
        ];
        for (spelling, value) in spellings {
            assert_eq!(
                classify(spelling),
                Number::Integer(Integer::new(value).unwrap()),
                "{spelling}"
            );
        }
    }

    #[test]
    fn fractions_are_no_integers() {
        for spelling in ["0.5", "1e-1", "1.05e1", "9007199254740993.5", "1e-99999999999999999999"] {
            assert_eq!(classify(spelling), Number::Fraction, "{spelling}");
        }
    }

    #[test]
    fn what_no_reader_keeps_is_beyond() {
        let long = format!("{}.5", "9".repeat(400));
        let spellings = [
            "9007199254740992",
            "-9007199254740993",
            "1e16",
            "1e400",
            "1e99999999999999999999",
            &long,
        ];
        for spelling in spellings {
            assert_eq!(classify(spelling), Number::Beyond, "{spelling}");
        }
    }
}
