//! Events as they are committed, without end.

use std::collections::VecDeque;

use audit_trail::StoredEvent;
use futures_util::{Stream, StreamExt as _, stream};
use log_core::Log;
use merkle::LeafIndex;
use serve::refusal::Refusal;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch::Receiver;

use crate::audit::Audit;
use crate::refusal;

/// Events read at a time: RAW is read with them, and each may have 4 MiB of it.
const READ_MAX: usize = 32;

/// Where a tail stands.
struct Tail {
    log: Log,
    next: u64,
    news: Receiver<()>,
    read: VecDeque<StoredEvent>,
    /// Held for as long as the stream lasts.
    _permit: OwnedSemaphorePermit,
}

/// The events of a log from an index on, or those that come from now on. Ends when the server stops, or
/// after an event that cannot be read.
pub(crate) fn tail(
    audit: &Audit,
    log: Log,
    from: Option<u64>,
) -> Result<impl Stream<Item = Result<StoredEvent, Refusal>> + Send + use<>, Refusal> {
    let permit = audit.open_stream()?;
    let news = log.news();
    let next = from.unwrap_or_else(|| log.tree().head.size.get());
    let tail = Tail { log, next, news, read: VecDeque::new(), _permit: permit };
    let stopping = audit.stopping();
    let events = stream::unfold(Some(tail), |tail| async {
        let mut tail = tail?;
        match tail.next().await {
            Ok(event) => Some((Ok(event), Some(tail))),
            Err(None) => None,
            Err(Some(refusal)) => Some((Err(refusal), None)),
        }
    });
    Ok(events.take_until(stopping.cancelled_owned()))
}

impl Tail {
    /// The next event, once it is there; `None` if the log is gone.
    async fn next(&mut self) -> Result<StoredEvent, Option<Refusal>> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(event);
            }
            // What is committed after this look is told anew.
            self.news.borrow_and_update();
            if self.log.tree().head.size.get() > self.next {
                let (log, next) = (self.log.clone(), self.next);
                let read = base::tasks::blocking(move || read(&log, next)).await;
                self.read = read.map_err(Some)?;
                self.next += u64::try_from(self.read.len()).unwrap_or(0);
                continue;
            }
            self.news.changed().await.map_err(|_| None)?;
        }
    }
}

fn read(log: &Log, next: u64) -> Result<VecDeque<StoredEvent>, Refusal> {
    let start = LeafIndex::new(next).map_err(|_| refusal::event_not_found())?;
    StoredEvent::run(log, start, READ_MAX).map(VecDeque::from).map_err(refusal::of_stored)
}
