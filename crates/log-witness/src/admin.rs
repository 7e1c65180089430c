//! The commands that an operator gives a running witness: a row for each in the table of [`commands`], and a
//! function for whoever gives it.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::clock::checked::CheckedClock;
use serve::admin::{self, CallError, Commands};

/// What the socket knows this server by.
const PROGRAM: &str = "cairn-witness";
const CLOCK_ACCEPT: &str = "clock accept";
/// How long an operator waits for a command that is done at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The table.
pub(crate) fn commands(clock: Arc<CheckedClock>) -> Commands {
    Commands::new(PROGRAM).with(CLOCK_ACCEPT, move |arguments| {
        let clock = Arc::clone(&clock);
        async move {
            admin::none(&arguments)?;
            // Cancelled only where the runtime ends.
            let accepted = tokio::task::spawn_blocking(move || clock.accept_for_operator()).await;
            accepted.unwrap_or_else(|_| Err("the witness is stopping".to_owned()))
        }
    })
}

/// Has the witness of a data folder believe its clock as it stands. Gives what the witness says.
pub fn clock_accept(data_dir: &Path) -> Result<String, CallError> {
    admin::call(data_dir, PROGRAM, &[OsStr::new(CLOCK_ACCEPT)], Some(ANSWER_WITHIN))
}
