//! Times as RFC 3339 text, in UTC and whole seconds.

const DAY_S: u64 = 86_400;
/// Days of 400 Gregorian years, after which the calendar repeats.
const CYCLE_DAYS: u64 = 146_097;
/// Days from the first of March of the year 0 to the Unix epoch.
const EPOCH_DAYS: u64 = 719_468;

/// `2026-01-31T12:00:00Z` of milliseconds since the Unix epoch. A fraction of a second is dropped.
pub fn format(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (year, month, day) = date(seconds / DAY_S);
    let of_day = seconds % DAY_S;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day since the epoch. Years begin in March here, so that the leap day is the
/// last day of a year.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_DAYS;
    let (cycle, of_cycle) = (days / CYCLE_DAYS, days % CYCLE_DAYS);
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    // Months from March on have 153 days in each five.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(format(seconds * 1_000 + 999), text);
        }
        assert!(format(u64::MAX).ends_with('Z'));
    }
}
