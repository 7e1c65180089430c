//! Every route of destinations, one row each.

use serve::route::Action::ManageLogs;
use serve::route::{Call, Load, Pattern, Route};

/// Bytes of a wish: the indexes of as many dead letters as there may be.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// What answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every destination, with what it lacks.
    List,
    /// Dead letters once more, and on after a stop.
    Retry,
    /// Dead letters no more.
    Skip,
}

/// The rows.
pub const ROWS: [(Route, To); 3] = [
    row("http_destinations", Call::Get, "/v1/destinations", To::List),
    row("http_destination_retry", Call::Post, "/v1/destinations/{name}/retry", To::Retry),
    row("http_destination_skip", Call::Post, "/v1/destinations/{name}/skip", To::Skip),
];

const fn row(name: &'static str, call: Call, pattern: &'static str, to: To) -> (Route, To) {
    let (pattern, body_bytes_max) = (Pattern::new(pattern), BODY_BYTES_MAX);
    (Route { name, call, pattern, body_bytes_max, load: Load::Shed, action: ManageLogs }, to)
}
