//! From append to published checkpoint: a call that ends when everyone can see its entry.

use log_client::Client;
use log_client::types::WatchEvent;
use merkle::TreeSize;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::load::{Call, Reply};
use crate::error::CliError;

/// The published size, as a watch of the log reports it.
#[derive(Debug)]
pub(crate) struct Published {
    sizes: watch::Receiver<u64>,
    /// Aborted when dropped.
    _watcher: JoinSet<()>,
}

impl Published {
    pub(crate) async fn watch(client: &Client, log: &str) -> Result<Self, CliError> {
        let mut events = client.watch(log, TreeSize::ZERO, false).await?;
        let (sender, sizes) = watch::channel(0);
        let mut watcher = JoinSet::new();
        watcher.spawn(async move {
            while let Ok(Some(event)) = events.next().await {
                let WatchEvent::Checkpoint { checkpoint, .. } = event else { continue };
                if let Some(size) = size_of(&checkpoint) {
                    sender.send_replace(size);
                }
            }
        });
        Ok(Self { sizes, _watcher: watcher })
    }

    pub(crate) fn sizes(&self) -> watch::Receiver<u64> {
        self.sizes.clone()
    }
}

/// A call that also waits for the checkpoint that covers its entry.
#[derive(Debug)]
pub(crate) struct UntilPublished<C> {
    call: C,
    sizes: watch::Receiver<u64>,
}

impl<C> UntilPublished<C> {
    pub(crate) fn new(call: C, sizes: watch::Receiver<u64>) -> Self {
        Self { call, sizes }
    }
}

impl<C: Call> Call for UntilPublished<C> {
    async fn call(&mut self, number: u64) -> Reply {
        let reply = self.call.call(number).await;
        if let Reply::Done(done) = &reply
            && let Some(index) = done.last_index
            && self.sizes.wait_for(|size| *size > index).await.is_err()
        {
            return Reply::Failed("the watch of published checkpoints ended".to_owned());
        }
        reply
    }
}

/// The second line of a checkpoint, its size. No signature is verified: this only measures time.
fn size_of(checkpoint: &[u8]) -> Option<u64> {
    std::str::from_utf8(checkpoint).ok()?.split('\n').nth(1)?.parse().ok()
}
