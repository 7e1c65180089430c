//! The task behind a producer's stream: one connection after the other, over one list of entries that
//! are not committed yet.

use std::{collections::VecDeque, sync::Arc};

use base::clock::machine::sleep;
use log_proto::log_v1 as proto;
use merkle::{Hash, LeafIndex, TreeSize};
use proto::{append_stream_request as request, append_stream_response as response};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{Committed, Item, ProducerId, ProducerOptions, Resume, StreamError};
use crate::{
    backoff::{Backoff, Jitter},
    client::Client,
    convert,
    error::{Advice, AnswerError, ClientError, ErrorReason},
    receipt::BatchReceipt,
    types::{RangeReceipt, ReceiptLevel},
};

/// Messages on their way; more only fill buffers.
const MESSAGES_IN_FLIGHT_MAX: usize = 8;
/// Leaves that wait for their receipt; beyond that the oldest are forgotten, and so are their receipts.
const UNPROVEN_LEAVES_MAX: usize = 1 << 20;

pub(super) struct Worker {
    client: Client,
    log: String,
    producer: ProducerId,
    options: ProducerOptions,
    queue: mpsc::Receiver<Item>,
    /// The queue's sender was dropped.
    closing: bool,
    /// By sequence, without a gap.
    uncommitted: VecDeque<Item>,
    /// How many of these were sent on this connection.
    sent: usize,
    /// How many of these belong to the message that was sent first, and so on: a message is one commit.
    messages: VecDeque<usize>,
    /// Committed, their receipts to come.
    unproven: VecDeque<(LeafIndex, Hash)>,
    receipts: mpsc::Sender<BatchReceipt>,
    resume: Resume,
    backoff: Backoff,
}

/// One connection.
pub(super) struct Connection {
    requests: mpsc::Sender<proto::AppendStreamRequest>,
    answers: Streaming<proto::AppendStreamResponse>,
}

/// How a connection ended.
enum Ended {
    /// Everything is committed, and nothing more will come.
    Done,
    Broken(ClientError),
    Fatal(StreamError),
}

impl Worker {
    pub(super) fn new(
        client: Client,
        log: String,
        producer: ProducerId,
        options: ProducerOptions,
        queue: mpsc::Receiver<Item>,
        receipts: mpsc::Sender<BatchReceipt>,
    ) -> Self {
        let backoff = Backoff::new(&options.retry, Jitter::of(&producer.0));
        Self {
            client,
            log,
            producer,
            options,
            queue,
            closing: false,
            uncommitted: VecDeque::new(),
            sent: 0,
            messages: VecDeque::new(),
            unproven: VecDeque::new(),
            receipts,
            resume: Resume { last_sequence: 0, last_index: None },
            backoff,
        }
    }

    /// Connects for the first time: whatever the server has is where this producer goes on.
    pub(super) async fn open(mut self) -> Result<(Self, Connection, Resume), StreamError> {
        let (connection, resume) = self.connect_with_pauses(None).await?;
        self.resume = resume;
        Ok((self, connection, resume))
    }

    pub(super) async fn run(mut self, mut connection: Connection) -> Result<Resume, StreamError> {
        loop {
            match self.serve(connection).await {
                Ended::Done => return Ok(self.resume),
                Ended::Fatal(error) => return Err(self.fail(error)),
                Ended::Broken(error) => match self.reconnect(error).await {
                    Ok(next) => connection = next,
                    Err(error) => return Err(self.fail(error)),
                },
            }
        }
    }

    async fn reconnect(&mut self, error: ClientError) -> Result<Connection, StreamError> {
        tracing::info!(%error, uncommitted = self.uncommitted.len(), "append stream broke off");
        let (connection, resume) = self.connect_with_pauses(Some(error)).await?;
        self.catch_up(resume)?;
        Ok(connection)
    }

    /// Settles what was committed while nobody could say so.
    fn catch_up(&mut self, found: Resume) -> Result<(), StreamError> {
        let first = self.resume.last_sequence;
        let last = first + count(self.uncommitted.len());
        if !(first..=last).contains(&found.last_sequence) {
            return Err(StreamError::Sequence { found: found.last_sequence, first, last });
        }
        let committed =
            usize::try_from(found.last_sequence - first).expect("no more than were kept");
        // The last of them was the last of a message, whose entries stand side by side.
        let mut whole = 0;
        let mut of_last_message = 1;
        for message in &self.messages {
            whole += message;
            if whole >= committed {
                of_last_message = *message;
                break;
            }
        }
        let known = if whole == committed { of_last_message } else { 1 };
        for position in 0..committed {
            let back = committed - 1 - position;
            let index = found.last_index.filter(|_| back < known);
            let index = index.and_then(|last| last.get().checked_sub(count(back)));
            let index = index.and_then(|index| LeafIndex::new(index).ok());
            self.commit_front(index, None);
        }
        self.resume.last_index = found.last_index;
        self.sent = 0;
        self.messages.clear();
        self.unproven.clear();
        Ok(())
    }

    async fn connect_with_pauses(
        &mut self,
        broken: Option<ClientError>,
    ) -> Result<(Connection, Resume), StreamError> {
        let mut failure = broken;
        loop {
            if let Some(error) = failure.take() {
                self.pause_after(error).await?;
            }
            match self.connect().await {
                Ok(connected) => return Ok(connected),
                Err(error) => failure = Some(error),
            }
        }
    }

    async fn pause_after(&mut self, error: ClientError) -> Result<(), StreamError> {
        if error.reason() == ErrorReason::ProducerFenced {
            return Err(StreamError::Fenced);
        }
        let pause = match error.advice() {
            Advice::Retry => self.backoff.failed(error.retry_after()),
            Advice::FixRequest | Advice::Operator => None,
        };
        let Some(pause) = pause else {
            let attempts = self.backoff.attempts().max(1);
            return Err(StreamError::Call { attempts, source: Arc::new(error) });
        };
        sleep(pause).await;
        Ok(())
    }

    async fn connect(&self) -> Result<(Connection, Resume), ClientError> {
        let (requests, outgoing) = mpsc::channel(MESSAGES_IN_FLIGHT_MAX);
        let open = request::Open {
            log: self.log.clone(),
            producer_id: self.producer.0.to_vec().into(),
            receipt: convert::level(self.options.receipt),
        };
        let open = proto::AppendStreamRequest { message: Some(request::Message::Open(open)) };
        requests.try_send(open).expect("the channel is new and has room");
        let mut answers = self.client.append_stream(ReceiverStream::new(outgoing)).await?;
        let resume = match answers.message().await?.and_then(|answer| answer.message) {
            Some(response::Message::Opened(opened)) => opened_at(&opened),
            Some(response::Message::Committed(_) | response::Message::Receipt(_)) | None => {
                Err(AnswerError::Sequence { found: "another message", expected: "opened" })
            }
        }
        .map_err(|source| ClientError::BadAnswer { call: "AppendStream", source })?;
        Ok((Connection { requests, answers }, resume))
    }

    /// Works one connection until it breaks, or nothing is left to do.
    async fn serve(&mut self, connection: Connection) -> Ended {
        let Connection { requests, mut answers } = connection;
        loop {
            if self.closing && self.uncommitted.is_empty() {
                drop(requests);
                return self.last_receipts(answers).await;
            }
            let unsent = self.sent < self.uncommitted.len();
            tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => {
                        if let Err(error) = self.answered(answer).await {
                            return Ended::Fatal(error);
                        }
                    }
                    Ok(None) => return Ended::Broken(broken_off()),
                    Err(status) => return Ended::Broken(status.into()),
                },
                slot = requests.reserve(), if unsent => match slot {
                    Ok(slot) => slot.send(self.next_message()),
                    // The call is over, and the answers say why.
                    Err(_) => return self.why_over(answers).await,
                },
                item = self.queue.recv(), if !self.closing => self.take(item),
            }
        }
    }

    /// The server closed its side for requests: what it still answers ends with the reason.
    async fn why_over(&mut self, mut answers: Streaming<proto::AppendStreamResponse>) -> Ended {
        loop {
            match answers.message().await {
                Ok(Some(answer)) => {
                    if let Err(error) = self.answered(answer).await {
                        return Ended::Fatal(error);
                    }
                }
                Ok(None) => return Ended::Broken(broken_off()),
                Err(status) => return Ended::Broken(status.into()),
            }
        }
    }

    /// All is committed; only receipts may follow, and if they don't, they can be fetched.
    async fn last_receipts(
        &mut self,
        mut answers: Streaming<proto::AppendStreamResponse>,
    ) -> Ended {
        while self.options.receipt > ReceiptLevel::Index && !self.unproven.is_empty() {
            match answers.message().await {
                Ok(Some(answer)) => {
                    if let Err(error) = self.answered(answer).await {
                        return Ended::Fatal(error);
                    }
                }
                Ok(None) | Err(_) => break,
            }
        }
        Ended::Done
    }

    /// Takes what has queued, up to a message.
    fn take(&mut self, item: Option<Item>) {
        let Some(item) = item else {
            self.closing = true;
            return;
        };
        self.uncommitted.push_back(item);
        while self.uncommitted.len() - self.sent < self.options.message_entries_max {
            let Ok(item) = self.queue.try_recv() else { break };
            self.uncommitted.push_back(item);
        }
    }

    fn next_message(&mut self) -> proto::AppendStreamRequest {
        let mut bytes = 0;
        let mut entries = Vec::new();
        let first_sequence = self.uncommitted[self.sent].sequence;
        for item in self.uncommitted.range(self.sent..).take(self.options.message_entries_max) {
            bytes += item.data.len();
            if bytes > self.options.message_bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(proto::Entry { data: item.data.clone(), ..Default::default() });
        }
        self.sent += entries.len();
        self.messages.push_back(entries.len());
        let items = request::Items { first_sequence, entries };
        proto::AppendStreamRequest { message: Some(request::Message::Items(items)) }
    }

    async fn answered(&mut self, answer: proto::AppendStreamResponse) -> Result<(), StreamError> {
        match answer.message {
            Some(response::Message::Committed(committed)) => {
                self.backoff.succeeded();
                self.committed(&committed).map_err(StreamError::bad_answer)
            }
            Some(response::Message::Receipt(receipt)) => {
                let receipt = convert::range_receipt(receipt).map_err(StreamError::bad_answer)?;
                self.hand_on(receipt).await;
                Ok(())
            }
            Some(response::Message::Opened(_)) => {
                Err(StreamError::bad_answer(AnswerError::Sequence {
                    found: "opened",
                    expected: "committed",
                }))
            }
            None => Err(StreamError::bad_answer(AnswerError::Missing { field: "message" })),
        }
    }

    fn committed(&mut self, answer: &response::Committed) -> Result<(), AnswerError> {
        let response::Committed { from_sequence, to_sequence, first_index, tree_size } = *answer;
        let next = self.resume.last_sequence + 1;
        let sent_to = self.resume.last_sequence + count(self.sent);
        if from_sequence == 0 || from_sequence > to_sequence || to_sequence > sent_to {
            let field = "to_sequence";
            return Err(AnswerError::Other { field, expected: sent_to, found: to_sequence });
        }
        if from_sequence > next {
            let (field, found) = ("from_sequence", from_sequence);
            return Err(AnswerError::Other { field, expected: next, found });
        }
        let size = convert::size("tree_size", tree_size)?;
        // What comes before `next` is answered for already: a duplicate from before a reconnect.
        for sequence in next..=to_sequence {
            let index = first_index.saturating_add(sequence - from_sequence);
            let index = convert::index("first_index", index)?;
            if !size.contains(index) {
                return Err(AnswerError::OutOfRange { field: "first_index", value: index.get() });
            }
            self.commit_front(Some(index), Some(size));
        }
        Ok(())
    }

    /// Settles the oldest entry.
    fn commit_front(&mut self, index: Option<LeafIndex>, tree_size: Option<TreeSize>) {
        let item = self.uncommitted.pop_front().expect("the caller counted what is there");
        self.sent = self.sent.saturating_sub(1);
        if let Some(message) = self.messages.front_mut() {
            *message -= 1;
            if *message == 0 {
                self.messages.pop_front();
            }
        }
        self.resume = Resume { last_sequence: item.sequence, last_index: index };
        if let Some(index) = index.filter(|_| self.options.receipt > ReceiptLevel::Index) {
            self.unproven.push_back((index, merkle::leaf_hash(&item.data)));
            if self.unproven.len() > UNPROVEN_LEAVES_MAX {
                self.unproven.pop_front();
            }
        }
        item.done.send(Ok(Committed { sequence: item.sequence, index, tree_size })).ok();
    }

    /// Puts a receipt beside the leaves it names, as far as they are of this stream.
    async fn hand_on(&mut self, receipt: RangeReceipt) {
        let proven =
            |index: LeafIndex| receipt.indexes.iter().any(|range| range.contains(&index.get()));
        let (leaves, rest): (Vec<_>, Vec<_>) =
            self.unproven.drain(..).partition(|(index, _)| proven(*index));
        self.unproven = rest.into();
        // Nobody has taken the receiving side, or it was dropped: receipts are not wanted.
        self.receipts.send(BatchReceipt::new(receipt, leaves)).await.ok();
    }

    fn fail(&mut self, error: StreamError) -> StreamError {
        self.queue.close();
        while let Ok(item) = self.queue.try_recv() {
            self.uncommitted.push_back(item);
        }
        for item in self.uncommitted.drain(..) {
            item.done.send(Err(error.clone())).ok();
        }
        error
    }
}

fn opened_at(opened: &response::Opened) -> Result<Resume, AnswerError> {
    let response::Opened { last_sequence, last_index } = *opened;
    let last_index = match last_sequence {
        0 => None,
        _ => Some(convert::index("last_index", last_index)?),
    };
    Ok(Resume { last_sequence, last_index })
}

/// A server that ends the stream without a reason is taken as one that went away.
fn broken_off() -> ClientError {
    tonic::Status::unavailable("server ended the stream").into()
}

fn count(len: usize) -> u64 {
    u64::try_from(len).expect("a count in memory fits 64 bits")
}
