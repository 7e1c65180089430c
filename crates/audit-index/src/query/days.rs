//! Times of a query: instants, and dates in a named zone.

use audit_event::Instant;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// No zone of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a time zone")]
pub struct ZoneError;

/// The zone of a name in the IANA time zone database, which is compiled in.
pub fn zone(name: &str) -> Result<TimeZone, ZoneError> {
    TimeZone::get(name).map_err(|_| ZoneError)
}

/// An instant, or the first instant of a date. A day may begin later than at midnight.
pub(super) fn instant(text: &str, zone: &TimeZone) -> Option<Instant> {
    if let Ok(stated) = Instant::parse(text) {
        return Some(stated.instant);
    }
    let is_date = text.len() == 10 && text.bytes().all(|it| it.is_ascii_digit() || it == b'-');
    let date: Date = text.parse().ok().filter(|_| is_date)?;
    let start = date.to_zoned(zone.clone()).ok()?.timestamp();
    Instant::new(start.as_second(), 0).ok()
}
