//! Seconds since the Unix epoch in decimal digits. A double has not enough of them.

use crate::time::{Instant, StatedTime, TimeError};

/// Digits that are read; more are not a time.
const DIGITS_MAX: usize = 30;
const EXPONENT_MAX: i32 = 30;
const NANO: i128 = 1_000_000_000;
/// Up to here it is seconds, up to a thousand times this milliseconds, and so on.
const SECONDS_MAX: i128 = 100_000_000_000;

/// Reads a decimal number of seconds, or of milli-, micro- or nanoseconds where it is too large for
/// seconds. `altered` says that the unit was guessed or digits beyond nanoseconds were cut.
pub(crate) fn epoch(text: &str) -> Result<StatedTime, TimeError> {
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mut nanos, mut altered) = nano_units(unsigned)?;
    for _finer_unit in 0..3 {
        if nanos > SECONDS_MAX * NANO {
            altered = true;
            nanos /= 1_000;
        }
    }
    if nanos > SECONDS_MAX * NANO {
        return Err(TimeError::Range);
    }
    let nanos = if negative { -nanos } else { nanos };
    let seconds = i64::try_from(nanos.div_euclid(NANO)).map_err(|_| TimeError::Range)?;
    let fraction = u32::try_from(nanos.rem_euclid(NANO)).map_err(|_| TimeError::Range)?;
    Ok(StatedTime { instant: Instant::new(seconds, fraction)?, altered })
}

/// A thousand millionths of the unit, and whether finer digits were cut.
fn nano_units(unsigned: &str) -> Result<(i128, bool), TimeError> {
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_digits =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_exponent = is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    if !is_digits(whole) || !is_digits(fraction) || !is_exponent {
        return Err(TimeError::Form);
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = [whole.trim_start_matches('0'), fraction].concat();
    let exponent: i32 = exponent.parse().map_err(|_| TimeError::Range)?;
    let places = i32::try_from(fraction.len()).map_err(|_| TimeError::Range)?;
    if digits.len() > DIGITS_MAX || exponent.abs() > EXPONENT_MAX {
        return Err(TimeError::Range);
    }
    let value: i128 =
        if digits.is_empty() { 0 } else { digits.parse().map_err(|_| TimeError::Range)? };
    let shift = exponent - places + 9;
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    if shift >= 0 {
        let scaled = power.and_then(|power| value.checked_mul(power)).ok_or(TimeError::Range)?;
        return Ok((scaled, false));
    }
    let power = power.unwrap_or(i128::MAX);
    Ok((value / power, value % power != 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (String, bool) {
        let stated = epoch(text).unwrap();
        (stated.instant.to_string(), stated.altered)
    }

    #[test]
    fn every_digit_counts() {
        let cases = [
            ("1772615411", "2026-03-04T09:10:11Z", false),
            ("1772615411.5", "2026-03-04T09:10:11.5Z", false),
            ("1772615411.123456789", "2026-03-04T09:10:11.123456789Z", false),
            ("1772615411.1234567890", "2026-03-04T09:10:11.123456789Z", false),
            ("1772615411.1234567891", "2026-03-04T09:10:11.123456789Z", true),
            ("1.772615411e9", "2026-03-04T09:10:11Z", false),
            ("17726154110E-1", "2026-03-04T09:10:11Z", false),
            ("0", "1970-01-01T00:00:00Z", false),
            ("-1.5", "1969-12-31T23:59:58.5Z", false),
            ("100000000000", "5138-11-16T09:46:40Z", false),
            ("1772615411123", "2026-03-04T09:10:11.123Z", true),
            ("1772615411123.5", "2026-03-04T09:10:11.1235Z", true),
            ("1772615411123456", "2026-03-04T09:10:11.123456Z", true),
            ("1772615411123456789", "2026-03-04T09:10:11.123456789Z", true),
        ];
        for (text, time, altered) in cases {
            assert_eq!(read(text), (time.to_owned(), altered), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in
            ["", "-", "now", "1.", ".5", "1e", "0x10", "1 ", "+1", "--1", "1e+-1", "1,5", "NaN"]
        {
            assert_eq!(epoch(text), Err(TimeError::Form), "{text}");
        }
        let long = "9".repeat(31);
        for text in ["1e21", "1e31", "1e99999999999", &long, "-99999999999"] {
            assert_eq!(epoch(text), Err(TimeError::Range), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_texts_never_panic(text in "[-+]?[0-9]{0,40}[.]?[0-9]{0,40}[eE]?[-+]?[0-9]{0,12}") {
            let _stated = epoch(&text);
        }
    }
}
