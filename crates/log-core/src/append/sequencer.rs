//! One log's part of a commit: drain its queue, resolve, plan.

use std::sync::Arc;

use super::plan::{self, Base, Plan};
use super::queue::Ticket;
use super::resolve::resolve;
use crate::error::AppendError;
use crate::life::state::LogShared;

/// How much of one log goes into one commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) entries_max: usize,
    pub(crate) bytes_max: usize,
}

/// A log and what is planned for it.
#[derive(Debug)]
pub(crate) struct LogPlan {
    pub(crate) log: Arc<LogShared>,
    pub(crate) plan: Plan,
}

/// Drains a log within its share and plans what it took. The second value says that more is waiting.
pub(crate) fn next(log: &Arc<LogShared>, share: Share) -> (Option<LogPlan>, bool) {
    let (tickets, more) = log.queue.drain(share.entries_max, share.bytes_max);
    if tickets.is_empty() {
        return (None, more);
    }
    let lookups = match resolve(log, &tickets) {
        Ok(lookups) => lookups,
        Err(error) => {
            tracing::error!(log = %log.record.name, %error, "look-up failed, calls are refused");
            refuse_all(tickets, &AppendError::NotCommitted { source: Arc::new(error) });
            return (None, more);
        }
    };
    let view = log.tree.load();
    let base = Base {
        log: log.record.id,
        view: &view,
        exists: log.exists(),
        time_ms: log.process.clock.unix_ms().max(log.time_floor_ms),
    };
    let plan = plan::plan(&base, tickets, lookups);
    (Some(LogPlan { log: Arc::clone(log), plan }), more)
}

fn refuse_all(tickets: Vec<Ticket>, error: &AppendError) {
    for ticket in tickets {
        ticket.refuse(error.clone());
    }
}
