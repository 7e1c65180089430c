//! Publishing: the checkpoints that everybody sees, and their archive.
//!
//! Other rooms hold a [`Publish`] for each log.

mod publisher;

pub(crate) use publisher::{PublisherParts, keep};

use std::sync::Arc;
use std::time::Duration;

use storage::LogState;
use tokio::sync::{Notify, oneshot, watch};

use crate::append::Append;
use crate::error::{AppendError, FreezeError, SignError};
use crate::inbox::{Bell as _, Inbox, Stop};
use crate::types::Published;

/// Wishes that may wait for one publisher. Many callers may freeze a log at once; other wishes are few.
const WISHES_MAX: usize = 4_096;

/// How long any further caller should wait.
const BUSY_RETRY_AFTER: Duration = Duration::from_millis(50);

/// What a caller can ask of the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Publish and archive the newest head now.
    Now,
    /// Drain the queue, publish the final checkpoint and freeze the log.
    Freeze,
    /// Drain the queue, publish and archive, and end.
    Stop,
}

type Answer = oneshot::Sender<Result<Arc<Published>, FreezeError>>;
type PublisherInbox = Inbox<(Wish, Answer), Notify>;

/// The publishing of one log. Cloning it is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    inbox: Arc<PublisherInbox>,
    /// Written by the publisher.
    published: watch::Sender<Arc<Published>>,
}

impl Publish {
    pub(crate) fn new(published: Published) -> Self {
        Self {
            inbox: Arc::new(Inbox::new(WISHES_MAX, Notify::new())),
            published: watch::Sender::new(Arc::new(published)),
        }
    }

    /// The newest published checkpoint.
    pub(crate) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.borrow())
    }

    /// Follows the published checkpoints; slow readers skip some.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Published>> {
        self.published.subscribe()
    }

    /// Lets the publisher check whether there is something to do.
    pub(crate) fn wake(&self) {
        self.inbox.bell().ring();
    }

    /// The publisher has ended: refuses what it is asked from now on, and what waits.
    fn close(&self) {
        self.inbox.stop(Stop::Now);
        // An answer that is dropped says that the server is shutting down.
        drop(self.inbox.take());
    }

    /// Asks the publisher and waits for the checkpoint.
    pub(crate) async fn ask(&self, wish: Wish) -> Result<Arc<Published>, FreezeError> {
        let (answer, answered) = oneshot::channel();
        let busy =
            |_| FreezeError::Append(AppendError::QueueFull { retry_after: BUSY_RETRY_AFTER });
        self.inbox.push((wish, answer)).map_err(busy)?;
        if !self.inbox.is_open() {
            self.close();
        }
        answered.await.unwrap_or(Err(FreezeError::Sign(SignError::ShuttingDown)))
    }

    /// Freezes a log; see [`Log::freeze`](crate::Log::freeze).
    pub(crate) async fn freeze(&self, append: &Append) -> Result<Arc<Published>, FreezeError> {
        if append.is_read_only() {
            return Err(AppendError::ReadOnly.into());
        }
        match append.state() {
            LogState::Frozen => Ok(self.published()),
            LogState::Retired => Err(AppendError::Retired.into()),
            LogState::Active | LogState::Draining => self.ask(Wish::Freeze).await,
        }
    }
}
