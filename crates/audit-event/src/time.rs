//! Instants as events state them: RFC 3339, nanoseconds, the years 0 to 9999.

use std::fmt;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// 0000-01-01T00:00:00Z.
const SECONDS_MIN: i64 = -62_167_219_200;
/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: i64 = 253_402_300_799;

/// An instant in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Since the Unix epoch, rounded down.
    seconds: i64,
    nanos: u32,
}

/// Why a text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not of the form of RFC 3339.
    #[error("is not a time of the form 2026-01-31T09:15:00.25Z")]
    Form,
    /// No such day, hour, minute or second.
    #[error("is not a time that exists")]
    Value,
    /// Outside the years 0 to 9999 in UTC.
    #[error("is outside the years 0000 to 9999")]
    Range,
}

/// A time as it was stated, and what had to be altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatedTime {
    /// The instant.
    pub instant: Instant,
    /// Digits beyond nanoseconds were cut, or a leap second became the end of the second before it.
    pub altered: bool,
}

impl Instant {
    /// From seconds since the Unix epoch and nanoseconds of the second.
    pub fn new(seconds: i64, nanos: u32) -> Result<Self, TimeError> {
        if !(SECONDS_MIN..=SECONDS_MAX).contains(&seconds) || u64::from(nanos) >= NANOS_PER_SECOND {
            return Err(TimeError::Range);
        }
        Ok(Self { seconds, nanos })
    }

    /// From nanoseconds since the Unix epoch, as a leaf states them; 64 bits end in the year 2554.
    pub fn from_nanos(nanos: u64) -> Self {
        let seconds = i64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(SECONDS_MAX);
        let nanos = u32::try_from(nanos % NANOS_PER_SECOND).unwrap_or(0);
        Self { seconds, nanos }
    }

    /// Nanoseconds since the Unix epoch, negative before it.
    pub fn nanos(self) -> i128 {
        i128::from(self.seconds) * i128::from(NANOS_PER_SECOND) + i128::from(self.nanos)
    }

    /// Microseconds since the Unix epoch, rounded down.
    pub fn micros(self) -> i64 {
        self.seconds * 1_000_000 + i64::from(self.nanos / 1_000)
    }

    /// The instant this many seconds later, or the last one there is.
    #[must_use]
    pub fn later_by(self, seconds: u32) -> Self {
        let seconds = (self.seconds + i64::from(seconds)).min(SECONDS_MAX);
        Self { seconds, ..self }
    }

    /// Reads what RFC 3339 allows, small `t` and `z` too.
    pub fn parse(text: &str) -> Result<StatedTime, TimeError> {
        let mut reader = Reader { rest: text.as_bytes() };
        let days = reader.date()?;
        reader.one_of(b"Tt")?;
        let (hour, minute, second) = reader.clock()?;
        let (nanos, cut) = reader.fraction()?;
        let offset = reader.offset()?;
        if !reader.rest.is_empty() {
            return Err(TimeError::Form);
        }
        if hour > 23 || minute > 59 || second > 60 {
            return Err(TimeError::Value);
        }
        let leap = second == 60;
        let second_of_day = hour * 3_600 + minute * 60 + second.min(59) - offset;
        let seconds = days * SECONDS_PER_DAY + second_of_day;
        if leap && seconds.rem_euclid(SECONDS_PER_DAY) != SECONDS_PER_DAY - 1 {
            return Err(TimeError::Value);
        }
        let nanos = if leap { 999_999_999 } else { nanos };
        Ok(StatedTime { instant: Self::new(seconds, nanos)?, altered: leap || cut })
    }

    /// Reads the form that blocks and filters state: capital `T` and `Z`, at most nine digits of a
    /// second, nothing altered.
    pub fn parse_utc(text: &str) -> Result<Self, TimeError> {
        let stated = Self::parse(text)?;
        let is_utc = text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
        if is_utc && !stated.altered { Ok(stated.instant) } else { Err(TimeError::Form) }
    }

    /// As `Display`, always with nine digits of a second.
    pub fn to_nine_digits(self) -> String {
        format!("{}.{:09}Z", Whole(self.seconds), self.nanos)
    }
}

/// In UTC with `Z`, and a fraction without trailing zeros.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Whole(self.seconds))?;
        if self.nanos > 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// Date and time of day of a second since the epoch.
struct Whole(i64);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(SECONDS_PER_DAY));
        let second = self.0.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_FROM_MARCH_0: i64 = 719_468;
const DAYS_PER_400_YEARS: i64 = 146_097;

/// The day's year, month and day. Counts years from March, so that a leap day is the last of its
/// year (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_FROM_MARCH_0;
    let era = days.div_euclid(DAYS_PER_400_YEARS);
    let day_of_era = days.rem_euclid(DAYS_PER_400_YEARS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The inverse of [`civil`].
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_400_YEARS + day_of_era - EPOCH_FROM_MARCH_0
}

/// Takes parts from the front of a time.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// `YYYY-MM-DD`, as days since the epoch.
    fn date(&mut self) -> Result<i64, TimeError> {
        let year = self.number(4)?;
        self.one_of(b"-")?;
        let month = self.number(2)?;
        self.one_of(b"-")?;
        let day = self.number(2)?;
        let days = days_of(year, month, day);
        // A day that does not exist comes back as another one.
        if civil(days) == (year, month, day) { Ok(days) } else { Err(TimeError::Value) }
    }

    fn clock(&mut self) -> Result<(i64, i64, i64), TimeError> {
        let hour = self.number(2)?;
        self.one_of(b":")?;
        let minute = self.number(2)?;
        self.one_of(b":")?;
        Ok((hour, minute, self.number(2)?))
    }

    /// Nanoseconds, and whether more digits than nine were there.
    fn fraction(&mut self) -> Result<(u32, bool), TimeError> {
        let Some(digits) = self.rest.strip_prefix(b".") else { return Ok((0, false)) };
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = digits.split_at(count);
        self.rest = rest;
        if digits.is_empty() {
            return Err(TimeError::Form);
        }
        let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        let nanos = padded.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
        Ok((nanos, count > 9))
    }

    /// Seconds east of UTC.
    fn offset(&mut self) -> Result<i64, TimeError> {
        let sign = self.one_of(b"Zz+-")?;
        if sign.eq_ignore_ascii_case(&b'z') {
            return Ok(0);
        }
        let hours = self.number(2)?;
        self.one_of(b":")?;
        let minutes = self.number(2)?;
        if hours > 23 || minutes > 59 {
            return Err(TimeError::Value);
        }
        let seconds = hours * 3_600 + minutes * 60;
        Ok(if sign == b'-' { -seconds } else { seconds })
    }

    fn number(&mut self, digits: usize) -> Result<i64, TimeError> {
        let (found, rest) = self.rest.split_at_checked(digits).ok_or(TimeError::Form)?;
        if !found.iter().all(u8::is_ascii_digit) {
            return Err(TimeError::Form);
        }
        self.rest = rest;
        Ok(found.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    fn one_of(&mut self, allowed: &[u8]) -> Result<u8, TimeError> {
        let (first, rest) = self.rest.split_first().ok_or(TimeError::Form)?;
        if !allowed.contains(first) {
            return Err(TimeError::Form);
        }
        self.rest = rest;
        Ok(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, bool) {
        let stated = Instant::parse(text).unwrap();
        (stated.instant.to_string(), stated.altered)
    }

    #[test]
    fn times_are_written_in_utc_without_trailing_zeros() {
        let cases = [
            ("2026-03-04T09:10:11Z", "2026-03-04T09:10:11Z", false),
            ("2026-03-04t09:10:11.500z", "2026-03-04T09:10:11.5Z", false),
            ("2026-03-04T09:10:11.000000001Z", "2026-03-04T09:10:11.000000001Z", false),
            ("2026-03-04T09:10:11.123456789999Z", "2026-03-04T09:10:11.123456789Z", true),
            ("1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.87Z", false),
            ("1990-12-31T23:59:60Z", "1990-12-31T23:59:59.999999999Z", true),
            ("1990-12-31T15:59:60-08:00", "1990-12-31T23:59:59.999999999Z", true),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", false),
            ("2000-03-01T00:30:00+01:00", "2000-02-29T23:30:00Z", false),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", false),
            ("9999-12-31T23:59:59-00:00", "9999-12-31T23:59:59Z", false),
        ];
        for (text, utc, altered) in cases {
            assert_eq!(read(text), (utc.to_owned(), altered), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let form = [
            "",
            "2026-03-04",
            "2026-03-04T09:10:11",
            "2026-03-04 09:10:11Z",
            "2026-03-04T09:10Z",
            "2026-03-04T09:10:11.Z",
            "2026-3-04T09:10:11Z",
            "2026-03-04T09:10:11+0100",
            "2026-03-04T09:10:11Z ",
            "+026-03-04T09:10:11Z",
            "1772615411",
        ];
        for text in form {
            assert_eq!(Instant::parse(text), Err(TimeError::Form), "{text}");
        }
        let value = [
            "2026-02-30T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T12:00:60Z",
            "2026-01-01T00:00:00+24:00",
        ];
        for text in value {
            assert_eq!(Instant::parse(text), Err(TimeError::Value), "{text}");
        }
        for text in ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:00-00:01"] {
            assert_eq!(Instant::parse(text), Err(TimeError::Range), "{text}");
        }
    }

    #[test]
    fn every_day_of_800_years_comes_back() {
        for day in -146_097..146_097 {
            let (year, month, date) = civil(day);
            assert_eq!(days_of(year, month, date), day);
        }
        assert_eq!(civil(0), (1970, 1, 1));
    }

    #[test]
    fn utc_alone_has_one_form() {
        assert!(Instant::parse_utc("2026-03-04T09:10:11.50Z").is_ok());
        for text in [
            "2026-03-04t09:10:11Z",
            "2026-03-04T09:10:11z",
            "2026-03-04T09:10:11+00:00",
            "1990-12-31T23:59:60Z",
            "2026-03-04T09:10:11.0000000001Z",
        ] {
            assert_eq!(Instant::parse_utc(text), Err(TimeError::Form), "{text}");
        }
    }

    #[test]
    fn nanoseconds_of_a_leaf() {
        let instant = Instant::from_nanos(1_772_615_411_000_000_005);
        assert_eq!(instant.to_nine_digits(), "2026-03-04T09:10:11.000000005Z");
        assert_eq!(instant.nanos(), 1_772_615_411_000_000_005);
        assert_eq!(instant.micros(), 1_772_615_411_000_000);
        assert_eq!(Instant::from_nanos(0).to_nine_digits(), "1970-01-01T00:00:00.000000000Z");
        assert!(Instant::from_nanos(u64::MAX).to_string().starts_with("2554-07-21T23:34:33"));
    }
}
