//! Producers of streams: who may write next, and where they stand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use merkle::LeafIndex;
use tokio::sync::{oneshot, watch};

use super::Append;
use super::line::Line;
use super::queue::Ticket;
use crate::error::AppendError;
use crate::types::ProducerSpan;
use storage::{ProducerId, ProducerRow};

/// The open streams of a log.
#[derive(Debug)]
pub(super) struct Producers {
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    /// Generations are never used twice, so what an old stream left in the queue stays refused.
    next_generation: u64,
    /// The generation of each producer's newest stream, watched by the streams before it.
    streams: BTreeMap<ProducerId, watch::Sender<u64>>,
}

impl Producers {
    pub(super) fn new() -> Self {
        Self { open: Mutex::new(Open { next_generation: 1, streams: BTreeMap::new() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation whose calls are taken; 0, which no stream has, if none is open.
    pub(super) fn generation(&self, id: ProducerId) -> u64 {
        self.lock().streams.get(&id).map_or(0, |stream| *stream.borrow())
    }

    /// Opens a stream and fences the one before.
    fn begin(&self, id: ProducerId) -> (u64, watch::Receiver<u64>) {
        let mut open = self.lock();
        let generation = open.next_generation;
        open.next_generation += 1;
        let stream = open.streams.entry(id).or_insert_with(|| watch::Sender::new(generation));
        stream.send_replace(generation);
        (generation, stream.subscribe())
    }

    fn end(&self, id: ProducerId, generation: u64) {
        let mut open = self.lock();
        if open.streams.get(&id).is_some_and(|stream| *stream.borrow() == generation) {
            open.streams.remove(&id);
        }
    }
}

/// The right to append as a producer, until another stream opens with its id.
#[derive(Debug)]
pub struct ProducerLease {
    line: Arc<Line>,
    id: ProducerId,
    generation: u64,
    last: Option<ProducerRow>,
    newest: watch::Receiver<u64>,
}

impl ProducerLease {
    /// The last sequence committed when the stream was opened; 0 if there was none.
    pub fn last_sequence(&self) -> u64 {
        self.last.map_or(0, |row| row.last_sequence)
    }

    /// The index of that sequence.
    pub fn last_index(&self) -> Option<LeafIndex> {
        self.last.map(|row| row.last_index)
    }

    /// The producer's part of a call whose first entry has this sequence, from 1.
    pub fn span(&self, first_sequence: u64) -> ProducerSpan {
        ProducerSpan { id: self.id, generation: self.generation, first_sequence }
    }

    /// Completes once another stream was opened with this producer's id.
    pub async fn fenced(&self) {
        let mut newest = self.newest.clone();
        let generation = self.generation;
        // An error means that the entry is gone: this lease ended, or a newer one did.
        drop(newest.wait_for(|newest| *newest != generation).await);
    }
}

impl Drop for ProducerLease {
    fn drop(&mut self) {
        self.line.producers.end(self.id, self.generation);
    }
}

impl Append {
    /// Opens a producer's stream.
    pub(crate) async fn open_producer(&self, id: ProducerId) -> Result<ProducerLease, AppendError> {
        self.may_append_plain()?;
        // The order matters. From here on the committer refuses calls of the stream before, and it answers
        // the ticket behind the calls that it had planned already. So the answer is final.
        let (generation, newest) = self.line.producers.begin(id);
        let line = Arc::clone(&self.line);
        let mut lease = ProducerLease { line, id, generation, last: None, newest };
        let (answer, answered) = oneshot::channel();
        self.submit(Ticket::OpenProducer { id, answer })?;
        lease.last = answered.await.unwrap_or(Err(AppendError::ShuttingDown))?;
        Ok(lease)
    }
}
