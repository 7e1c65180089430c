//! Append streams: each producer keeps a window of messages open and waits for `Committed`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use base::clock::machine;
use log_proto::log_v1::append_stream_request::{Message, Open};
use log_proto::log_v1::append_stream_response::{Committed, Message as Answer};
use log_proto::log_v1::{AppendStreamRequest, AppendStreamResponse, Receipt};
use prost::Message as _;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use super::codec::{Body, TemplateCodec};
use super::grpc::{client, refused};
use super::load::{self, Done, Measured, Reply, RunClock, Schedule};
use super::template::{Template, stream_request};

/// One producer's stream.
#[derive(Debug)]
pub(crate) struct Producer {
    pub(crate) channel: Channel,
    pub(crate) log: String,
    pub(crate) id: [u8; 16],
    pub(crate) receipt: Receipt,
    /// The items of one message.
    pub(crate) template: Arc<Template>,
    /// Messages in flight at most.
    pub(crate) window: usize,
}

/// Runs every producer until the schedule ends and its last message is answered.
pub(crate) async fn run(producers: Vec<Producer>, schedule: Schedule) -> Measured {
    let start = |producer: Producer| move |clock, tally| producer.run(clock, tally);
    load::run_tasks(producers.into_iter().map(start), schedule).await
}

/// A message sent and not yet answered in full.
#[derive(Debug)]
struct Sent {
    last_sequence: u64,
    since: Instant,
}

/// What the two halves of a stream share.
#[derive(Debug)]
struct Window {
    slots: Semaphore,
    sent: Mutex<VecDeque<Sent>>,
}

impl Producer {
    /// Appends until the run ends and everything sent is committed (and proven, if receipts were
    /// asked for).
    async fn run(self, clock: Arc<RunClock>, tally: Arc<Mutex<Measured>>) {
        if let Err(reply) = self.exchange(&clock, &tally).await {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.add(reply, std::time::Duration::ZERO, true);
        }
    }

    async fn exchange(self, clock: &RunClock, tally: &Mutex<Measured>) -> Result<(), Reply> {
        let (requests, receiver) = mpsc::channel(self.window + 1);
        let opened = requests.send(Body::Ready(self.open())).await;
        opened.expect("the receiver is still here");
        let answers = self.start(receiver).await?;
        let window = Window {
            slots: Semaphore::new(self.window),
            sent: Mutex::new(VecDeque::with_capacity(self.window)),
        };
        let ((), ended) = tokio::join!(
            self.send(requests, &window, clock),
            self.receive(answers, &window, clock, tally)
        );
        ended
    }

    fn open(&self) -> bytes::Bytes {
        let open = Open {
            log: self.log.clone(),
            producer_id: self.id.to_vec().into(),
            receipt: self.receipt.into(),
        };
        AppendStreamRequest { message: Some(Message::Open(open)) }.encode_to_vec().into()
    }

    async fn start(
        &self,
        requests: mpsc::Receiver<Body>,
    ) -> Result<Streaming<AppendStreamResponse>, Reply> {
        let mut client = client(self.channel.clone());
        let lost = |_| Reply::Failed("the connection to the server is lost".to_owned());
        client.ready().await.map_err(lost)?;
        let path = PathAndQuery::from_static("/cairn.log.v1.LogService/AppendStream");
        let request = Request::new(ReceiverStream::new(requests));
        let answers = client.streaming(request, path, TemplateCodec::new()).await;
        Ok(answers.map_err(|status| refused(&status))?.into_inner())
    }

    /// Sends while the run lasts; ends by dropping the request stream.
    async fn send(&self, requests: mpsc::Sender<Body>, window: &Window, clock: &RunClock) {
        let entries = self.template.entries();
        let mut first_sequence = 1;
        loop {
            let Ok(slot) = window.slots.acquire().await else { return };
            slot.forget();
            let Some((number, since)) = clock.next_call().await else { return };
            let body = stream_request(&self.template, number, first_sequence);
            let last_sequence = first_sequence + entries - 1;
            window.lock().push_back(Sent { last_sequence, since });
            if requests.send(Body::Ready(body)).await.is_err() {
                return;
            }
            first_sequence += entries;
        }
    }

    async fn receive(
        &self,
        mut answers: Streaming<AppendStreamResponse>,
        window: &Window,
        clock: &RunClock,
        tally: &Mutex<Measured>,
    ) -> Result<(), Reply> {
        let mut receipts = Receipts::new(self.receipt);
        let outcome = loop {
            match answers.message().await {
                Ok(Some(answer)) => {
                    if let Some(reached) = answer.message.and_then(|message| receipts.take(message))
                    {
                        self.settle(reached, window, clock, tally);
                    }
                }
                Ok(None) => break Ok(()),
                Err(status) => break Err(refused(&status)),
            }
        };
        // Wakes a sender that waits for a slot that nobody will free any more.
        window.slots.close();
        let unanswered = window.lock().len();
        match outcome {
            Ok(()) if unanswered > 0 => Err(Reply::Failed(format!(
                "the stream ended with {unanswered} messages unanswered"
            ))),
            other => other,
        }
    }

    /// Records the latency of every message that is now answered in full.
    fn settle(&self, reached: u64, window: &Window, clock: &RunClock, tally: &Mutex<Measured>) {
        let now = machine::now();
        let done = Done { leaves: self.template.entries(), ..Done::default() };
        let mut sent = window.lock();
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(message) = sent.pop_front_if(|message| message.last_sequence <= reached) {
            tally.add_done(done, now - message.since, clock.counts(now));
            window.slots.add_permits(1);
        }
    }
}

impl Window {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns answers into "settled up to this sequence".
///
/// With `RECEIPT_INDEX` a message is settled by `Committed`. With a higher level it is settled by
/// the receipt that proves its indexes. Receipts name indexes, so we keep the `Committed` answers
/// until then.
#[derive(Debug)]
struct Receipts {
    level: Receipt,
    waiting: VecDeque<Committed>,
}

impl Receipts {
    fn new(level: Receipt) -> Self {
        Self { level, waiting: VecDeque::new() }
    }

    fn take(&mut self, answer: Answer) -> Option<u64> {
        match answer {
            Answer::Opened(_) => None,
            Answer::Committed(committed) if self.level == Receipt::Index => {
                Some(committed.to_sequence)
            }
            Answer::Committed(committed) => {
                self.waiting.push_back(committed);
                None
            }
            Answer::Receipt(receipt) => {
                let proven_to = receipt.indexes.iter().map(|range| range.end).max()?;
                let mut reached = None;
                while let Some(committed) = self.waiting.pop_front_if(|c| last_index(c) < proven_to)
                {
                    reached = Some(committed.to_sequence);
                }
                reached
            }
        }
    }
}

fn last_index(committed: &Committed) -> u64 {
    let more = committed.to_sequence.saturating_sub(committed.from_sequence);
    committed.first_index.saturating_add(more)
}

#[cfg(test)]
mod tests {
    use log_proto::log_v1::{IndexRange, RangeReceipt};

    use super::*;

    fn committed(from: u64, to: u64, first_index: u64) -> Answer {
        let committed =
            Committed { from_sequence: from, to_sequence: to, first_index, tree_size: 0 };
        Answer::Committed(committed)
    }

    fn receipt(start: u64, end: u64) -> Answer {
        let indexes = vec![IndexRange { start, end }];
        Answer::Receipt(RangeReceipt { indexes, ..RangeReceipt::default() })
    }

    #[test]
    fn committed_settles_what_asked_for_no_receipt() {
        let mut receipts = Receipts::new(Receipt::Index);
        assert_eq!(receipts.take(committed(1, 10, 100)), Some(10));
    }

    #[test]
    fn a_receipt_settles_what_it_proves_and_no_more() {
        let mut receipts = Receipts::new(Receipt::Signed);
        assert_eq!(receipts.take(committed(1, 10, 100)), None);
        assert_eq!(receipts.take(committed(11, 20, 110)), None);
        assert_eq!(receipts.take(receipt(100, 110)), Some(10));
        assert_eq!(receipts.take(receipt(110, 119)), None);
        assert_eq!(receipts.take(receipt(110, 120)), Some(20));
    }
}
