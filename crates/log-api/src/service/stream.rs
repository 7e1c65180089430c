//! Calls that stream their answers: entries by range, and new checkpoints. Each runs in a task that ends
//! when its caller is gone or the server stops; at most two answers wait for a slow caller.

use std::ops::Range;
use std::sync::Arc;

use base::tasks::Supervisor;
use log_proto::log_v1 as pb;
use log_proto::log_v1::watch_checkpoints_response::Message as Watched;
use merkle::{Hash, LeafIndex, TreeSize};
use serve::refusal::Refusal;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Answers, Service, convert};
use crate::receipts;
use crate::refusal::{self, API, IntoRefusal};
use log_core::read::{Reads, Snapshot};
use log_core::{CALL_ENTRIES_MAX, Log, Published, SignedHead};

/// Answers that wait for a slow caller.
const ANSWERS_MAX: usize = 2;
/// Entry bytes in one answer, unless a single entry is larger.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The sending half of a stream's answers, and the permit of the stream to be open.
pub(super) struct Sender<T> {
    service: Service,
    answers: mpsc::Sender<Result<T, Status>>,
    _permit: OwnedSemaphorePermit,
}

/// The caller is gone, or was told an error: nothing more to do.
pub(super) struct Ended;

impl<T> Sender<T> {
    pub(super) async fn send(&self, answer: T) -> Result<(), Ended> {
        self.answers.send(Ok(answer)).await.map_err(|_| Ended)
    }

    pub(super) async fn fail(&self, refusal: Refusal) -> Ended {
        let status = self.service.refused(refusal);
        // A caller that is gone needs no answer.
        drop(self.answers.send(Err(status)).await);
        Ended
    }

    pub(super) async fn closed(&self) {
        self.answers.closed().await;
    }
}

/// Runs the body of a stream.
pub(super) fn start<T, F>(
    service: &Service,
    name: &'static str,
    sender: Sender<T>,
    body: impl FnOnce(Sender<T>) -> F,
) where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let answers = sender.answers.clone();
    run(service.supervisor(), name, answers, body(sender));
}

/// After a panic in `body` the caller gets an error: the answers so far must not look complete.
fn run<T: Send + 'static>(
    supervisor: &Supervisor,
    name: &'static str,
    answers: mpsc::Sender<Result<T, Status>>,
    body: impl Future<Output = ()> + Send + 'static,
) {
    let caught = supervisor.clone();
    // It ends when its caller is gone or the server stops.
    drop(supervisor.start(name, async move {
        if caught.caught(name, body).await.is_none() {
            let panicked = Refusal::internal().into_status(API.domain);
            // A caller that is gone needs no answer.
            drop(answers.send(Err(panicked)).await);
        }
    }));
}

impl Service {
    /// Opens the answers of a stream, if there is a place for one more.
    pub(super) fn open_stream<T>(&self) -> Result<(Sender<T>, Answers<T>), Refusal> {
        let streams_max = self.shared.options.streams_max;
        let permit = Arc::clone(&self.shared.streams).try_acquire_owned();
        let permit = permit.map_err(|_| refusal::too_many_streams(streams_max))?;
        let (answers, received) = mpsc::channel(ANSWERS_MAX);
        Ok((
            Sender { service: self.clone(), answers, _permit: permit },
            ReceiverStream::new(received),
        ))
    }

    /// Entries of a range, in answers of bounded size.
    async fn chunk(
        &self,
        snapshot: &Arc<Snapshot>,
        range: &Range<TreeSize>,
    ) -> Result<(Vec<bytes::Bytes>, Vec<(LeafIndex, Hash)>), Refusal> {
        let start = convert::index("range.start", range.start.get())?;
        let left = usize::try_from(range.end.get() - range.start.get()).unwrap_or(usize::MAX);
        let limit = left.min(CALL_ENTRIES_MAX);
        let read =
            move |tree: &Snapshot, access| tree.entries(start, limit, ANSWER_BYTES_MAX, access);
        let (entries, leaves) =
            Reads::run(snapshot, read).await.map_err(IntoRefusal::into_refusal)?;
        let indexes = (start.get()..).map(LeafIndex::new).map_while(Result::ok);
        Ok((entries, indexes.zip(leaves).collect()))
    }
}

/// `size` leaves and `count` more.
fn advance(size: TreeSize, count: usize) -> Result<TreeSize, Refusal> {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    size.checked_add(count).ok_or_else(Refusal::internal)
}

pub(super) async fn get_entries(
    service: &Service,
    request: pb::GetEntriesRequest,
) -> Result<Answers<pb::GetEntriesResponse>, Refusal> {
    let pb::GetEntriesRequest { log, range, with_receipts } = request;
    let log = service.log(&log)?;
    let range = convert::range(range)?;
    let committed = log.tree().head.size;
    let head = if range.end > log.signed().size() && !log.is_read_only() {
        receipts::covering(&log, "range.end", range.end.min(committed)).await?
    } else {
        log.signed()
    };
    let end = if range.end == TreeSize::ZERO { head.size() } else { range.end.min(head.size()) };
    if range.start > head.size() || (range.start == head.size() && range.end > head.size()) {
        return Err(refusal::beyond_size("range.start", range.start.get(), head.size().get()));
    }
    if range.start > end {
        return Err(refusal::bad_range("range", "ascending"));
    }
    let (sender, answers) = service.open_stream()?;
    let own = service.clone();
    start(service, "get-entries", sender, |sender| async move {
        let call = Entries { service: &own, log: &log, head: &head, with_receipts };
        drop(call.send(&sender, range.start..end).await);
    });
    Ok(answers)
}

/// One `GetEntries` call.
struct Entries<'a> {
    service: &'a Service,
    log: &'a Log,
    head: &'a Arc<SignedHead>,
    with_receipts: bool,
}

impl Entries<'_> {
    async fn send(
        &self,
        sender: &Sender<pb::GetEntriesResponse>,
        mut range: Range<TreeSize>,
    ) -> Result<(), Ended> {
        while range.start < range.end {
            let answer = match self.next(&range).await {
                Ok(answer) => answer,
                Err(refusal) => return Err(sender.fail(refusal).await),
            };
            let count = answer.entries.as_ref().map_or(0, |entries| entries.entries.len());
            sender.send(answer).await?;
            if self.service.shared.stopping.is_cancelled() {
                return Err(sender.fail(refusal::shutting_down()).await);
            }
            range.start = advance(range.start, count).map_err(|_| Ended)?;
        }
        Ok(())
    }

    async fn next(&self, range: &Range<TreeSize>) -> Result<pb::GetEntriesResponse, Refusal> {
        let snapshot = self.service.snapshot(self.log, self.head)?;
        let (entries, leaves) = self.service.chunk(&snapshot, range).await?;
        if entries.is_empty() {
            return Err(Refusal::internal());
        }
        let range_receipt = if self.with_receipts {
            Some(self.service.range_receipt(self.log, self.head, leaves).await?)
        } else {
            None
        };
        let entries = pb::EntryRange { first_index: range.start.get(), entries };
        Ok(pb::GetEntriesResponse { entries: Some(entries), range_receipt })
    }
}

pub(super) fn watch_checkpoints(
    service: &Service,
    request: pb::WatchCheckpointsRequest,
) -> Result<Answers<pb::WatchCheckpointsResponse>, Refusal> {
    let pb::WatchCheckpointsRequest { log, from_size, entries } = request;
    let log = service.log(&log)?;
    let from = convert::size("from_size", from_size)?;
    let committed = log.tree().head.size;
    if from > committed {
        return Err(refusal::beyond_size("from_size", from_size, committed.get()));
    }
    let (sender, answers) = service.open_stream()?;
    let own = service.clone();
    start(service, "watch-checkpoints", sender, move |sender| async move {
        let mut watch = Watch { service: own, log, sender, sent: from, with_entries: entries };
        let stopping = watch.service.shared.stopping.clone();
        let stopped = stopping.run_until_cancelled(watch.run()).await.is_none();
        if stopped {
            watch.sender.fail(refusal::shutting_down()).await;
        }
    });
    Ok(answers)
}

/// One `WatchCheckpoints` call.
struct Watch {
    service: Service,
    log: Log,
    sender: Sender<pb::WatchCheckpointsResponse>,
    /// The size of the checkpoint sent last.
    sent: TreeSize,
    with_entries: bool,
}

impl Watch {
    /// Ends when the caller is gone, was told an error, or the log is gone.
    async fn run(&mut self) {
        let mut published = self.log.watch_published();
        let mut first = true;
        loop {
            let next = Arc::clone(&published.borrow_and_update());
            // A checkpoint that was signed again at the size sent before tells the caller nothing
            // new.
            if next.head.size > self.sent || (first && next.head.size == self.sent) {
                if self.send(&next).await.is_err() {
                    return;
                }
                first = false;
            }
            tokio::select! {
                changed = published.changed() => if changed.is_err() { return },
                () = self.sender.closed() => return,
            }
        }
    }

    async fn send(&mut self, next: &Published) -> Result<(), Ended> {
        let to = next.head.size;
        let answer = match self.answer(next).await {
            Ok(answer) => answer,
            Err(refusal) => return Err(self.sender.fail(refusal).await),
        };
        if self.with_entries {
            self.send_entries(self.sent..to).await?;
        }
        let message = Some(Watched::Checkpoint(answer));
        self.sender.send(pb::WatchCheckpointsResponse { message }).await?;
        self.sent = to;
        Ok(())
    }

    async fn answer(
        &self,
        next: &Published,
    ) -> Result<pb::watch_checkpoints_response::NewCheckpoint, Refusal> {
        let (from, to) = (self.sent, next.head.size);
        let snapshot = self.service.snapshot(&self.log, &self.log.signed())?;
        let read = move |tree: &Snapshot, access| tree.consistency(from, to, access);
        let hashes = Reads::run(&snapshot, read).await.map_err(IntoRefusal::into_refusal)?;
        Ok(pb::watch_checkpoints_response::NewCheckpoint {
            checkpoint: next.note.clone(),
            from_size: from.get(),
            consistency: convert::hashes(&hashes),
        })
    }

    async fn send_entries(&self, mut range: Range<TreeSize>) -> Result<(), Ended> {
        while range.start < range.end {
            let chunk = match self.service.snapshot(&self.log, &self.log.signed()) {
                Ok(snapshot) => self.service.chunk(&snapshot, &range).await,
                Err(refusal) => Err(refusal),
            };
            let entries = match chunk {
                Ok((entries, _)) => entries,
                Err(refusal) => return Err(self.sender.fail(refusal).await),
            };
            let count = entries.len();
            let entries = pb::EntryRange { first_index: range.start.get(), entries };
            let message = Some(Watched::Entries(entries));
            self.sender.send(pb::WatchCheckpointsResponse { message }).await?;
            range.start = advance(range.start, count).map_err(|_| Ended)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_that_panics_fails_and_one_that_ends_does_not() {
        for panics in [true, false] {
            let supervisor = Supervisor::new();
            let (answers, mut received) = mpsc::channel(ANSWERS_MAX);
            let sender = answers.clone();
            run(&supervisor, "stream", answers, async move {
                drop(sender.send(Ok(1)).await);
                assert!(!panics, "on purpose");
            });
            assert_eq!(received.recv().await.unwrap().unwrap(), 1);
            let end = received.recv().await.map(|end| end.unwrap_err().code());
            assert_eq!(end, panics.then_some(tonic::Code::Internal));
            assert_eq!(supervisor.panics().contains_key("stream"), panics);
        }
    }
}
