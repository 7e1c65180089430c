//! Appending without end. One task for each stream keeps its calls in the order they came: several
//! may wait for their commit, and their answers leave in the same order. Receipts follow between
//! the answers, one at a time, each over everything committed since the one before.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use log_proto::log_v1 as pb;
use log_proto::log_v1::append_stream_request::{Items, Message as Asked, Open};
use log_proto::log_v1::append_stream_response::{self as answers, Message as Answer};
use merkle::{LeafIndex, TreeSize};
use serve::grpc;
use serve::principal::Principal;
use serve::refusal::Refusal;
use tonic::{Request, Streaming};

use super::convert;
use super::stream::{Ended, Sender, start};
use super::unproven::Unproven;
use super::{Answers, Service};
use crate::logs::scope;
use crate::receipts::{self, Level};
use crate::refusal::{self, API, IntoRefusal};
use log_core::{
    AppendError, CALL_ENTRIES_MAX, Committed, EntryOutcome, Log, ProducerLease, Submission,
};
use storage::Scope;

/// Calls of one stream that may wait for their commit: enough to keep the disk busy while the next ones
/// arrive, and a bound on what a stream can hold in memory.
const CALLS_MAX: usize = 8;
/// How long a producer may take to say who it is.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

type Requests = Streaming<pb::AppendStreamRequest>;
type Stop = Result<Ended, Refusal>;

pub(super) fn open(
    service: &Service,
    request: Request<Requests>,
) -> Result<Answers<pb::AppendStreamResponse>, Refusal> {
    let scope = scope(&Principal::of(request.extensions()));
    let requests = request.into_inner();
    let (sender, answers) = service.open_stream()?;
    let own = service.clone();
    start(service, "append-stream", sender, |sender| async move {
        let stopping = own.shared.stopping.clone();
        let serve = stopping.run_until_cancelled(serve(own, scope, requests, &sender));
        let stop = serve.await.unwrap_or_else(|| Err(refusal::shutting_down()));
        if let Err(refusal) = stop {
            sender.fail(refusal).await;
        }
    });
    Ok(answers)
}

async fn serve(
    service: Service,
    scope: Scope,
    mut requests: Requests,
    sender: &Sender<pb::AppendStreamResponse>,
) -> Stop {
    let clock = service.clock();
    let opened = clock.timeout(OPEN_TIMEOUT, requests.message()).await;
    let first = opened.map_err(|_| Refusal::deadline_passed(&API))?;
    let first = first.map_err(|status| grpc::unread(&status))?;
    let Some(Asked::Open(open)) = first.and_then(|first| first.message) else {
        return Err(refusal::bad_field("open", "the first message of a stream"));
    };
    let Open { log, producer_id, receipt } = open;
    let level = convert::level(receipt)?;
    let log = service.log(&log)?;
    let producer_id = convert::producer_id(&producer_id)?;
    receipts::check(&log, level)?;
    let lease = log.open_producer(producer_id).await.map_err(IntoRefusal::into_refusal)?;
    let opened = answers::Opened {
        last_sequence: lease.last_sequence(),
        last_index: lease.last_index().map_or(0, LeafIndex::get),
    };
    if let Err(ended) = sender.send(message(Answer::Opened(opened))).await {
        return Ok(ended);
    }
    let (calls, unproven) = (VecDeque::new(), Unproven::new(CALL_ENTRIES_MAX));
    let stream = Stream { service: &service, log: &log, scope, level, calls, unproven };
    stream.run(&lease, &mut requests, sender).await
}

fn message(answer: Answer) -> pb::AppendStreamResponse {
    pb::AppendStreamResponse { message: Some(answer) }
}

/// A call that was handed to the log: the sequences it has, and its outcome.
struct Call {
    first_sequence: u64,
    outcome: Pin<Box<dyn Future<Output = Result<Committed, AppendError>> + Send>>,
    ready: Option<Result<Committed, AppendError>>,
}

impl Call {
    /// Hands a call to the log now, so that calls are queued in the order they came.
    async fn begin(log: &Log, scope: Scope, lease: &ProducerLease, items: Items) -> Self {
        let Items { first_sequence, entries } = items;
        let entries = entries.into_iter().map(|entry| convert::entry(entry, scope)).collect();
        let submission = Submission { entries, producer: Some(lease.span(first_sequence)) };
        let log = log.clone();
        let mut outcome: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(async move { log.append(submission).await });
        let ready = std::future::poll_fn(|cx| match outcome.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => Poll::Ready(None),
        });
        let ready = ready.await;
        Self { first_sequence, outcome, ready }
    }

    async fn finish(&mut self) -> Result<Committed, AppendError> {
        match self.ready.take() {
            Some(outcome) => outcome,
            None => self.outcome.as_mut().await,
        }
    }
}

struct Stream<'a> {
    service: &'a Service,
    log: &'a Log,
    scope: Scope,
    level: Level,
    calls: VecDeque<Call>,
    unproven: Unproven,
}

impl Stream<'_> {
    async fn run(
        mut self,
        lease: &ProducerLease,
        requests: &mut Requests,
        sender: &Sender<pb::AppendStreamResponse>,
    ) -> Stop {
        let mut receiving = true;
        // The receipt that is being made, if any.
        let (service, log, level) = (self.service, self.log, self.level);
        let mut receipt: Option<Pin<Box<dyn Future<Output = _> + Send + '_>>> = None;
        loop {
            if receipt.is_none()
                && let Some(range) = self.unproven.take()
            {
                receipt = Some(Box::pin(prove(service, log, level, range)));
            }
            if !receiving && self.calls.is_empty() && receipt.is_none() {
                return Ok(Ended);
            }
            let room = self.calls.len() < CALLS_MAX;
            tokio::select! {
                biased;
                committed = front(&mut self.calls) => {
                    let (first_sequence, committed) = committed;
                    for answer in self.committed(first_sequence, committed)? {
                        if let Err(ended) = sender.send(message(answer)).await {
                            return Ok(ended);
                        }
                    }
                }
                proof = optional(&mut receipt) => {
                    receipt = None;
                    let answer = message(Answer::Receipt(proof?));
                    if let Err(ended) = sender.send(answer).await {
                        return Ok(ended);
                    }
                }
                request = requests.message(), if receiving && room => match request {
                    Ok(Some(request)) => self.begin(lease, request).await?,
                    Ok(None) => receiving = false,
                    Err(status) => return Err(grpc::unread(&status)),
                },
                () = lease.fenced() => return Err(AppendError::ProducerFenced.into_refusal()),
                () = sender.closed() => return Ok(Ended),
            }
        }
    }

    async fn begin(
        &mut self,
        lease: &ProducerLease,
        request: pb::AppendStreamRequest,
    ) -> Result<(), Refusal> {
        let pb::AppendStreamRequest { message } = request;
        let Some(Asked::Items(items)) = message else {
            return Err(refusal::bad_field("items", "every message after the first"));
        };
        if items.first_sequence == 0 {
            return Err(refusal::bad_field("first_sequence", "at least 1"));
        }
        self.calls.push_back(Call::begin(self.log, self.scope, lease, items).await);
        Ok(())
    }

    /// The answers to a committed call: one for each run of consecutive indexes.
    fn committed(
        &mut self,
        first_sequence: u64,
        committed: Result<Committed, AppendError>,
    ) -> Result<Vec<Answer>, Refusal> {
        let committed = committed.map_err(IntoRefusal::into_refusal)?;
        self.service.logs().metrics().appended();
        let mut runs: Vec<answers::Committed> = Vec::new();
        for (sequence, outcome) in (first_sequence..).zip(&committed.outcomes) {
            let index = match outcome {
                EntryOutcome::Appended { index, .. } => *index,
                // An earlier call committed the entry, and its answer said where.
                EntryOutcome::Skipped => continue,
                EntryOutcome::Refused(refusal) => return Err(refusal.clone().into_refusal()),
            };
            if self.level > Level::Index {
                self.unproven.add(index);
            }
            match runs.last_mut() {
                Some(run) if follows(run, sequence, index) => run.to_sequence = sequence,
                _ => runs.push(answers::Committed {
                    from_sequence: sequence,
                    to_sequence: sequence,
                    first_index: index.get(),
                    tree_size: committed.tree_size.get(),
                }),
            }
        }
        Ok(runs.into_iter().map(Answer::Committed).collect())
    }
}

fn follows(run: &answers::Committed, sequence: u64, index: LeafIndex) -> bool {
    run.to_sequence + 1 == sequence
        && run.first_index + (sequence - run.from_sequence) == index.get()
}

async fn prove(
    service: &Service,
    log: &Log,
    level: Level,
    range: Range<TreeSize>,
) -> Result<pb::RangeReceipt, Refusal> {
    let head = receipts::reach_on_stream(log, range.end, level).await?;
    service.stored_range_receipt(log, &head, &range).await
}

/// The outcome of the oldest call; never completes while there is none.
async fn front(calls: &mut VecDeque<Call>) -> (u64, Result<Committed, AppendError>) {
    let Some(call) = calls.front_mut() else { return std::future::pending().await };
    let outcome = call.finish().await;
    let first_sequence = call.first_sequence;
    calls.pop_front();
    (first_sequence, outcome)
}

/// Never completes if there is nothing to wait for.
async fn optional<T>(future: &mut Option<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
