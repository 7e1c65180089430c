//! The newest of something that one owner replaces: anybody reads it without a lock, or follows it.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

/// The newest value. The field that holds a `Watch` says who writes it.
#[derive(Debug)]
pub(crate) struct Watch<T> {
    newest: ArcSwap<T>,
    news: watch::Sender<()>,
}

impl<T> Watch<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self { newest: ArcSwap::new(value), news: watch::Sender::new(()) }
    }

    /// The newest value, for a short look.
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.newest.load()
    }

    /// The newest value, to keep.
    pub(crate) fn load_full(&self) -> Arc<T> {
        self.newest.load_full()
    }

    /// Replaces the value. Followers hear of it with the next [`Self::tell`].
    pub(crate) fn store(&self, value: Arc<T>) {
        self.newest.store(value);
    }

    /// Wakes the followers.
    pub(crate) fn tell(&self) {
        self.news.send_replace(());
    }

    /// Whoever waits for this hears of every `tell` from here on; several may arrive as one.
    pub(crate) fn follow(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn followers_hear_of_what_is_told_and_of_nothing_else() {
        let watch = Watch::new(Arc::new(1));
        let mut follower = watch.follow();
        watch.store(Arc::new(2));
        assert!(!follower.has_changed().unwrap());
        watch.tell();
        follower.changed().await.unwrap();
        assert_eq!(**watch.load(), 2);
    }
}
