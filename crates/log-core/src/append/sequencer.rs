//! One log's part of a commit: drain its queue, resolve, plan.

use std::sync::Arc;

use storage::Engine;

use super::line::Line;
use super::plan::{self, Base, Plan};
use super::queue::Ticket;
use super::resolve::resolve;
use crate::error::AppendError;

/// How much of one log goes into one commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) entries_max: usize,
    pub(super) bytes_max: usize,
}

/// A log, and the plan for it.
#[derive(Debug)]
pub(super) struct LogPlan {
    pub(super) line: Arc<Line>,
    pub(super) plan: Plan,
}

/// Drains a log within its share and plans what it took. The second value says that more is waiting.
pub(super) fn next(
    engine: &dyn Engine,
    line: &Arc<Line>,
    share: Share,
    now_ms: u64,
) -> (Option<LogPlan>, bool) {
    let (tickets, more) = line.queue.drain(share.entries_max, share.bytes_max);
    if tickets.is_empty() {
        return (None, more);
    }
    let lookups = match resolve(engine, line, &tickets) {
        Ok(lookups) => lookups,
        Err(error) => {
            tracing::error!(log = %line.record.name, %error, "look-up failed, calls are refused");
            refuse_all(tickets, &AppendError::NotCommitted { source: Arc::new(error) });
            return (None, more);
        }
    };
    let view = line.tree.load();
    let base = Base {
        log: line.record.id,
        view: &view,
        exists: line.exists(),
        time_ms: now_ms.max(line.time_floor_ms),
        newest_ns: line.newest_ns(),
    };
    let plan = plan::plan(&base, tickets, lookups);
    (Some(LogPlan { line: Arc::clone(line), plan }), more)
}

fn refuse_all(tickets: Vec<Ticket>, error: &AppendError) {
    for ticket in tickets {
        ticket.refuse(error.clone());
    }
}
