//! Waiting for an event that may never come.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks with `probe` until it gives what is waited for. Until then it gives what it sees instead.
///
/// # Panics
/// After `deadline`, with `what` and the last thing seen.
pub(crate) async fn eventually<T, S: Debug>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let (started, mut seen) = (Instant::now(), None);
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(instead)) => seen = Some(instead),
            // The next line says so.
            Err(_elapsed) => {}
        }
        assert!(
            started.elapsed() < deadline,
            "not within {deadline:?}: {what}; seen last: {seen:?}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a probe of [`eventually`] gives: the event, or what is seen instead.
pub(crate) fn once<S>(holds: bool, seen: S) -> Result<(), S> {
    if holds { Ok(()) } else { Err(seen) }
}
