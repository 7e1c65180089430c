//! The thread behind a layer: takes what waits, and sends it until the server has it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::clock::machine::sleep;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fields::now;
use super::{Counts, LayerOptions};
use crate::backoff::RetryPolicy;
use crate::events::{AuditClient, AuditEvent, event as proto, random_id};
use crate::types::Wanted;

/// Events of one call.
const BATCH_EVENTS_MAX: usize = 500;

pub(super) struct Worker {
    pub(super) client: AuditClient,
    pub(super) options: Arc<LayerOptions>,
    pub(super) events: mpsc::Receiver<AuditEvent>,
    pub(super) counts: Arc<Counts>,
    /// Cancelled when the guard is dropped.
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// Ends when everything was sent after the stop, or when the time for that is over. What waits then, or
    /// is on its way, counts as lost.
    pub(super) async fn run(mut self) {
        let (stop, time) = (self.stop.clone(), self.options.flush_timeout);
        let ends = async {
            stop.cancelled().await;
            sleep(time).await;
        };
        tokio::select! {
            () = self.send_all() => return,
            () = ends => {}
        }
        self.events.close();
        let mut waiting = self.counts.sending.load(Ordering::Relaxed);
        while self.events.try_recv().is_ok() {
            waiting += 1;
        }
        self.counts.lose(waiting);
    }

    async fn send_all(&mut self) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if !self.events.is_closed() => {
                    // What waits already still comes out of a closed queue.
                    self.events.close();
                    continue;
                }
                _ = self.events.recv_many(&mut batch, BATCH_EVENTS_MAX) => {}
            }
            let is_end = batch.is_empty();
            let untold = self.counts.untold.swap(0, Ordering::Relaxed);
            if untold > 0 {
                batch.push(self.loss(untold));
            }
            if !batch.is_empty() {
                self.send(batch).await;
            }
            if is_end {
                return;
            }
        }
    }

    /// Sends until the server has the events, or says that it never will.
    async fn send(&self, mut batch: Vec<AuditEvent>) {
        let (log, policy) = (self.options.log.as_str(), RetryPolicy::default());
        let count = |events: usize| u64::try_from(events).unwrap_or(u64::MAX);
        self.counts.sending.store(count(batch.len()), Ordering::Relaxed);
        let sent = self.client.record_all(log, &mut batch, Wanted::default(), &policy).await;
        let (recorded, refused) = match &sent {
            Ok(answer) => {
                let refused = answer.results.iter().filter(|result| result.is_err()).count();
                (answer.results.len() - refused, refused)
            }
            Err(error) => {
                tracing::error!(target: "log_client", %error, "events of a layer are refused");
                (0, batch.len())
            }
        };
        self.counts.sending.store(0, Ordering::Relaxed);
        self.counts.recorded.fetch_add(count(recorded), Ordering::Relaxed);
        if refused > 0 {
            self.counts.lose(count(refused));
        }
    }

    /// That events were lost.
    fn loss(&self, events: u64) -> AuditEvent {
        let source = self.options.source.clone();
        let number = i64::try_from(events).unwrap_or(i64::MAX);
        let number = proto::audit_event::value::Value::Number(number);
        let value = proto::audit_event::Value { value: Some(number) };
        AuditEvent {
            id: Some(random_id()),
            source: Some(source.clone()),
            time: Some(now()),
            action: Some("audit.events_lost".to_owned()),
            category: proto::Category::System.into(),
            operation: proto::Operation::Other.into(),
            outcome: proto::Outcome::Failure.into(),
            severity: proto::Severity::High.into(),
            actor: Some(proto::audit_event::Actor {
                r#type: proto::ActorType::Service.into(),
                id: Some(source),
                ..Default::default()
            }),
            metadata: [("events".to_owned(), value)].into(),
            ..AuditEvent::default()
        }
    }
}
