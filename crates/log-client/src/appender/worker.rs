//! The task behind an appender: takes entries in order, sends batches one at a time, keeps the spool.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use base::clock::machine::{now, sleep, sleep_until};
use merkle::Hash;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{AppendError, Appended, AppenderOptions, Command, Delivery, Item, Summary};
use crate::{
    backoff::{Backoff, Jitter},
    client::Client,
    error::{Advice, ClientError},
    receipt::BatchReceipt,
    spool::{Spool, SpoolError},
    types::{BatchAnswer, EntryOutcome, NewEntry},
};

pub(super) struct Worker {
    client: Client,
    log: String,
    options: AppenderOptions,
    /// Random per appender: the first 16 bytes of every key it makes.
    run: [u8; 16],
    /// The last 8 bytes of the next key.
    position: u64,
    commands: mpsc::Receiver<Command>,
    /// Taken from the queue, not sent yet.
    ready: VecDeque<Command>,
    /// `None` while a blocking call has it, and where none is configured.
    spool: Option<Spool>,
    backoff: Backoff,
    stop: CancellationToken,
    summary: Summary,
}

/// What one attempt, or a row of them, came to.
enum Sent {
    Answered(BatchAnswer),
    /// The server is away; entries may go to the spool.
    Away,
    Failed(AppendError),
}

/// What became of a batch at the spool's front; if it stays there, with the pause before the next attempt.
enum Drained {
    Sent,
    /// The server did not take it.
    Away(Duration),
    /// The spool cannot be read, or not be written.
    Stuck(Duration),
}

impl Worker {
    pub(super) fn new(
        client: Client,
        log: String,
        options: AppenderOptions,
        run: [u8; 16],
        spool: Option<Spool>,
        commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) -> Self {
        let backoff = Backoff::new(&options.retry, Jitter::of(&run));
        Self {
            client,
            log,
            options,
            run,
            position: 0,
            commands,
            ready: VecDeque::new(),
            spool,
            backoff,
            stop,
            summary: Summary::default(),
        }
    }

    pub(super) async fn run(mut self) -> Summary {
        let mut drain_at = now();
        loop {
            if self.spool.as_ref().is_none_or(Spool::is_empty) {
                if !self.fill().await {
                    break;
                }
                self.step().await;
                drain_at = now() + self.options.retry.pause_min;
            } else if !self.step_behind_spool(&mut drain_at).await {
                break;
            }
        }
        self.summary
    }

    /// Waits until there is something to do; false once there never will be.
    async fn fill(&mut self) -> bool {
        if !self.ready.is_empty() {
            return true;
        }
        let mut taken = Vec::new();
        let count = self.commands.recv_many(&mut taken, self.options.batch_entries_max).await;
        self.ready.extend(taken);
        count > 0
    }

    /// Takes whatever else has queued, up to a batch, without waiting.
    fn top_up(&mut self) {
        while self.ready.len() < self.options.batch_entries_max {
            let Ok(command) = self.commands.try_recv() else { return };
            self.ready.push_back(command);
        }
    }

    /// The next batch, within the limits of one call; answers flushes that come before it.
    fn take_batch(&mut self) -> Vec<Item> {
        self.top_up();
        let mut batch: Vec<Item> = Vec::new();
        let mut bytes = 0;
        while let Some(command) = self.ready.pop_front() {
            match command {
                Command::Flush(done) if batch.is_empty() => answer_flush(done),
                Command::Append(item) if self.fits(&batch, bytes, &item) => {
                    bytes += item.entry.data.len();
                    batch.push(self.keyed(item));
                }
                later @ (Command::Flush(_) | Command::Append(_)) => {
                    self.ready.push_front(later);
                    break;
                }
            }
        }
        batch
    }

    fn fits(&self, batch: &[Item], bytes: usize, item: &Item) -> bool {
        batch.is_empty()
            || (batch.len() < self.options.batch_entries_max
                && bytes + item.entry.data.len() <= self.options.batch_bytes_max)
    }

    /// Gives the entry its key. An item that comes back from a full spool keeps the one it has.
    fn keyed(&mut self, mut item: Item) -> Item {
        if self.options.make_keys && item.entry.dedup_key.is_empty() {
            let mut key = [0; 24];
            key[..16].copy_from_slice(&self.run);
            key[16..].copy_from_slice(&self.position.to_be_bytes());
            self.position += 1;
            item.entry.dedup_key = key.to_vec().into();
        }
        item
    }

    /// Sends one batch, until it is answered for, failed, or in the spool.
    async fn step(&mut self) {
        let batch = self.take_batch();
        if batch.is_empty() {
            return;
        }
        let entries: Vec<NewEntry> = batch.iter().map(|item| item.entry.clone()).collect();
        match self.send_until_settled(&entries).await {
            Sent::Answered(answer) => self.settle(batch, &entries, answer),
            Sent::Away => self.spool_batch(batch).await,
            Sent::Failed(error) => self.fail(batch, &error),
        }
    }

    /// The server was away: keeps the order by putting new entries behind those in the spool, and from
    /// time to time sends from its front. False once the appender can end.
    async fn step_behind_spool(&mut self, drain_at: &mut Instant) -> bool {
        // Where nothing comes any more, no room is needed.
        let ended = self.ready.is_empty() && self.commands.is_closed() && self.commands.is_empty();
        let room = ended || self.spool_has_room();
        let stop = self.stop.clone();
        let filled = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            () = sleep_until(*drain_at) => None,
            filled = self.fill(), if room => Some(filled),
        };
        match filled {
            Some(true) => {
                let batch = self.take_batch();
                self.spool_batch(batch).await;
                true
            }
            Some(false) => self.drain_at_end().await,
            None if self.stop.is_cancelled() => self.end_behind_spool().await,
            None => {
                let pause = match self.drain().await {
                    Drained::Sent => Duration::ZERO,
                    Drained::Away(pause) | Drained::Stuck(pause) => pause,
                };
                *drain_at = now() + pause;
                true
            }
        }
    }

    /// Stopped: what is still in memory goes to the spool too, as far as that takes it.
    async fn end_behind_spool(&mut self) -> bool {
        self.commands.close();
        while self.fill().await {
            let batch = self.take_batch();
            if !batch.is_empty() && !self.spool_has_room() {
                self.fail(batch, &AppendError::Stopped);
            } else {
                self.spool_batch(batch).await;
            }
        }
        false
    }

    fn spool_has_room(&self) -> bool {
        let (Some(spool), Some(options)) = (&self.spool, &self.options.spool) else { return false };
        // A batch with its keys and frames, so that a full spool is seen before a batch is taken.
        let overhead = self.options.batch_entries_max.saturating_mul(128);
        let batch = self.options.batch_bytes_max.saturating_add(overhead);
        let batch = u64::try_from(batch).unwrap_or(u64::MAX);
        spool.bytes().saturating_add(batch) <= options.bytes_max
    }

    async fn spool_batch(&mut self, batch: Vec<Item>) {
        if batch.is_empty() {
            return;
        }
        let entries: Vec<NewEntry> = batch.iter().map(|item| item.entry.clone()).collect();
        match self.with_spool(move |spool| spool.push(&entries)).await {
            Ok(()) => {
                self.summary.spooled += count(batch.len());
                for item in batch {
                    answer(item, Ok(Delivery::Spooled));
                }
            }
            Err(error) => {
                // Nothing is lost: the entries stay in memory, in front, and callers wait.
                tracing::warn!(%error, "entries cannot be spooled; they wait in memory");
                for item in batch.into_iter().rev() {
                    self.ready.push_front(Command::Append(item));
                }
                self.pause(self.options.retry.pause_max).await;
            }
        }
    }

    /// Sends one batch from the spool's front.
    async fn drain(&mut self) -> Drained {
        let (entries_max, bytes_max) =
            (self.options.batch_entries_max, self.options.batch_bytes_max);
        let peeked = self.with_spool(move |spool| spool.peek(entries_max, bytes_max)).await;
        let entries = match peeked {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(%error, "spool cannot be read; its entries stay where they are");
                return Drained::Stuck(self.options.retry.pause_max);
            }
        };
        match self.attempt(&entries).await {
            Ok(answer) => {
                self.backoff.succeeded();
                self.count_drained(&answer);
                self.pop(entries).await
            }
            Err(error) => {
                tracing::info!(%error, attempts = self.backoff.attempts(), "spooled entries wait");
                self.summary.retries += 1;
                let pause = self.backoff.failed(error.retry_after());
                Drained::Away(pause.unwrap_or(self.options.retry.pause_max))
            }
        }
    }

    /// Nobody hands anything over any more: the spool is sent as long as the server answers. As many
    /// failures as call it away leave the rest to the next appender, and so does a spool that cannot be
    /// read; false then.
    async fn drain_at_end(&mut self) -> bool {
        match self.drain().await {
            Drained::Sent => true,
            Drained::Stuck(_) => false,
            Drained::Away(_) if self.backoff.attempts() >= self.options.spool_after => false,
            Drained::Away(pause) => self.pause(pause).await,
        }
    }

    async fn pop(&mut self, entries: Vec<NewEntry>) -> Drained {
        // A crash before this removes them sends them again, and their keys make them duplicates.
        match self.with_spool(move |spool| spool.pop(&entries)).await {
            Ok(()) => Drained::Sent,
            Err(error) => {
                tracing::error!(%error, "sent entries cannot be removed from the spool");
                Drained::Stuck(self.options.retry.pause_max)
            }
        }
    }

    fn count_drained(&mut self, answer: &BatchAnswer) {
        for outcome in &answer.outcomes {
            match outcome {
                EntryOutcome::Appended { duplicate, .. } => self.count_appended(*duplicate),
                EntryOutcome::Refused(refusal) => {
                    tracing::error!(%refusal, "a spooled entry was refused and is dropped");
                    self.summary.refused += 1;
                }
            }
        }
    }

    async fn send_until_settled(&mut self, entries: &[NewEntry]) -> Sent {
        // What an earlier attempt may have written, no later refusal takes back.
        let mut unknown = None;
        loop {
            let error = match self.attempt(entries).await {
                Ok(answer) => {
                    self.backoff.succeeded();
                    return Sent::Answered(answer);
                }
                Err(error) => error,
            };
            let pause = match error.advice() {
                Advice::Retry => self.backoff.failed(error.retry_after()),
                Advice::FixRequest | Advice::Operator => None,
            };
            let attempts = self.backoff.attempts().max(1);
            let retry = error.advice() == Advice::Retry;
            if retry && self.spool.is_some() && attempts >= self.options.spool_after {
                return Sent::Away;
            }
            let Some(pause) = pause else {
                self.backoff.succeeded();
                let source = Arc::new(error.after(unknown));
                return Sent::Failed(AppendError::Call { attempts, source });
            };
            if let ClientError::OutcomeUnknown(error) = &error {
                unknown = Some(error.clone());
            }
            tracing::info!(%error, attempts, ?pause, "append is sent again");
            self.summary.retries += 1;
            if !self.pause(pause).await {
                return match (&self.spool, unknown) {
                    (Some(_), _) => Sent::Away,
                    (None, Some(_)) => Sent::Failed(AppendError::Stopped),
                    (None, None) => Sent::Failed(AppendError::NotWritten),
                };
            }
        }
    }

    async fn attempt(&self, entries: &[NewEntry]) -> Result<BatchAnswer, ClientError> {
        self.client.append_batch(&self.log, entries.to_vec(), self.options.wanted).await
    }

    /// Waits; false if the appender was stopped meanwhile.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = sleep(pause) => true,
        }
    }

    fn settle(&mut self, batch: Vec<Item>, entries: &[NewEntry], answered: BatchAnswer) {
        let BatchAnswer { outcomes, tree_size, reached, receipt } = answered;
        let data: Vec<&[u8]> = entries.iter().map(|entry| entry.data.as_ref()).collect();
        let leaves = merkle::leaf_hashes(&data);
        let receipt =
            receipt.map(|receipt| Arc::new(BatchReceipt::of_outcomes(receipt, &outcomes, &leaves)));
        for ((item, outcome), leaf_hash) in batch.into_iter().zip(outcomes).zip(leaves) {
            match outcome {
                EntryOutcome::Refused(refusal) => {
                    self.summary.refused += 1;
                    answer(item, Err(refusal.into()));
                }
                EntryOutcome::Appended { index, duplicate } => {
                    self.count_appended(duplicate);
                    let receipt = receipt.clone();
                    let leaf_hash: Hash = leaf_hash;
                    let appended =
                        Appended { index, leaf_hash, duplicate, tree_size, reached, receipt };
                    answer(item, Ok(Delivery::Appended(appended)));
                }
            }
        }
    }

    fn count_appended(&mut self, duplicate: bool) {
        self.summary.appended += 1;
        self.summary.duplicates += u64::from(duplicate);
    }

    fn fail(&mut self, batch: Vec<Item>, error: &AppendError) {
        self.summary.failed += count(batch.len());
        for item in batch {
            answer(item, Err(error.clone()));
        }
    }

    /// Runs a step of the spool where blocking is allowed.
    async fn with_spool<T: Send + 'static>(
        &mut self,
        step: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let mut spool = self.spool.take().expect("asked only where a spool is configured");
        let (spool, outcome) = tokio::task::spawn_blocking(move || {
            let outcome = step(&mut spool);
            (spool, outcome)
        })
        .await
        .expect("no step of the spool panics, and none is cancelled");
        self.spool = Some(spool);
        outcome
    }
}

/// A caller that dropped its handle does not want to know.
fn answer(item: Item, outcome: Result<Delivery, AppendError>) {
    item.done.send(outcome).ok();
}

fn answer_flush(done: oneshot::Sender<()>) {
    done.send(()).ok();
}

fn count(len: usize) -> u64 {
    u64::try_from(len).expect("a count in memory fits 64 bits")
}
