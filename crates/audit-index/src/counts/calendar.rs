//! The days and hours of a zone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::By;

const HOUR_NS: i64 = 3_600_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
/// Spans that are kept; then they are forgotten.
const SPANS_MAX: usize = 10_000;

/// Finds the day or hour of instants, and remembers them.
#[derive(Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    is_hourly: bool,
    /// By their start: end and key.
    spans: BTreeMap<i64, (i64, String)>,
}

impl Calendar {
    pub(super) fn new(zone: TimeZone, by: By) -> Self {
        Self { zone, is_hourly: by == By::Hour, spans: BTreeMap::new() }
    }

    /// The key of the day or hour of an instant, in nanoseconds since the Unix epoch.
    pub(super) fn key(&mut self, time: i64) -> &str {
        let known = self.spans.range(..=time).next_back();
        let start = match known.filter(|(_, (end, _))| time < *end) {
            Some((start, _)) => *start,
            None => self.learn(time),
        };
        self.spans.get(&start).map_or("", |(_, key)| key)
    }

    /// The key, and when the day or hour begins.
    pub(super) fn span(&mut self, time: i64) -> (String, i64) {
        let key = self.key(time).to_owned();
        let start = self.spans.range(..=time).next_back();
        (key, start.map_or(time, |(start, _)| *start))
    }

    fn learn(&mut self, time: i64) -> i64 {
        if self.spans.len() >= SPANS_MAX {
            self.spans.clear();
        }
        let (start, end, key) = if self.is_hourly { self.hour(time) } else { self.day(time) };
        self.spans.insert(start, (end, key));
        start
    }

    fn day(&self, time: i64) -> (i64, i64, String) {
        let date =
            Timestamp::from_nanosecond(time.into()).map(|it| it.to_zoned(self.zone.clone()).date());
        let Ok(date) = date else { return (time, i64::MAX, String::new()) };
        let start_of = |date: jiff::civil::Date| {
            Some(nanos(date.to_zoned(self.zone.clone()).ok()?.timestamp()))
        };
        let start = start_of(date).unwrap_or(i64::MIN).min(time);
        let end = date.tomorrow().ok().and_then(start_of).unwrap_or(i64::MAX);
        (start, end, date.to_string())
    }

    fn hour(&self, time: i64) -> (i64, i64, String) {
        let Ok(instant) = Timestamp::from_nanosecond(time.into()) else {
            return (time, i64::MAX, String::new());
        };
        let offset = self.zone.to_offset(instant);
        let local = time.saturating_add(i64::from(offset.seconds()) * SECOND_NS);
        let since = local.rem_euclid(HOUR_NS);
        let whole = time.saturating_sub(since);
        // The clocks may change within the hour. What comes before has another offset, and so another key.
        let before = self
            .zone
            .preceding(
                instant.saturating_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(instant),
            )
            .next();
        let after = self.zone.following(instant).next();
        let start = before.map_or(whole, |it| whole.max(nanos(it.timestamp())));
        let whole_end = whole.saturating_add(HOUR_NS);
        let end = after.map_or(whole_end, |it| whole_end.min(nanos(it.timestamp())));
        let local = Timestamp::from_nanosecond(whole.into()).unwrap_or(instant);
        let local = offset.to_datetime(local).strftime("%Y-%m-%dT%H:00:00").to_string();
        let seconds = offset.seconds();
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
        (start, end, format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60))
    }
}

/// Nanoseconds since the Unix epoch, or the nearest that 64 bits can say.
fn nanos(instant: Timestamp) -> i64 {
    let nanos = instant.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(zone: &str, by: By, times: &[&str]) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let mut calendar = Calendar::new(zone, by);
        let time = |text: &&str| nanos(text.parse().unwrap());
        let keys: Vec<String> = times.iter().map(|it| calendar.key(time(it)).to_owned()).collect();
        let again: Vec<String> = times
            .iter()
            .map(|it| Calendar::new(calendar.zone.clone(), by).span(time(it)).0)
            .collect();
        assert_eq!(keys, again, "what is remembered is the same");
        keys
    }

    #[test]
    fn a_day_has_the_hours_that_its_zone_says() {
        let times = [
            "2026-10-24T22:59:59.999999999Z",
            "2026-10-24T23:00:00Z",
            "2026-10-25T23:59:59.999999999Z",
            "2026-10-26T00:00:00Z",
        ];
        let wanted = ["2026-10-24", "2026-10-25", "2026-10-25", "2026-10-26"];
        assert_eq!(keys("Europe/London", By::Day, &times), wanted);
        let times = ["2018-11-04T02:59:59Z", "2018-11-04T03:00:00Z"];
        assert_eq!(keys("America/Sao_Paulo", By::Day, &times), ["2018-11-03", "2018-11-04"]);
    }

    #[test]
    fn the_hour_that_comes_twice_is_two() {
        let times = ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:59:59Z"];
        let wanted =
            ["2026-10-25T01:00:00+01:00", "2026-10-25T01:00:00+00:00", "2026-10-25T01:00:00+00:00"];
        assert_eq!(keys("Europe/London", By::Hour, &times), wanted);
        // Here clocks go back by half an hour.
        let times = [
            "2026-04-04T14:45:00Z",
            "2026-04-04T15:00:00Z",
            "2026-04-04T15:29:00Z",
            "2026-04-04T15:30:00Z",
        ];
        let wanted = [
            "2026-04-05T01:00:00+11:00",
            "2026-04-05T01:00:00+10:30",
            "2026-04-05T01:00:00+10:30",
            "2026-04-05T02:00:00+10:30",
        ];
        assert_eq!(keys("Australia/Lord_Howe", By::Hour, &times), wanted);
        assert_eq!(
            keys("Asia/Kolkata", By::Hour, &["2026-01-01T00:29:00Z", "2026-01-01T00:31:00Z"]),
            ["2026-01-01T05:00:00+05:30", "2026-01-01T06:00:00+05:30"]
        );
    }

    #[test]
    fn spans_begin_where_they_begin() {
        let mut calendar = Calendar::new(TimeZone::UTC, By::Day);
        assert_eq!(calendar.span(HOUR_NS * 25 + 7), ("1970-01-02".to_owned(), HOUR_NS * 24));
        let mut calendar = Calendar::new(TimeZone::UTC, By::Hour);
        assert_eq!(calendar.span(HOUR_NS * 25 + 7).1, HOUR_NS * 25);
        for time in [i64::MIN, i64::MAX, 0, -1] {
            assert!(calendar.span(time).1 <= time);
        }
    }
}
