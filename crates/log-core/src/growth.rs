//! Which logs grew, for whoever follows all of them: a log that does not grow costs nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use storage::LogId;
use tokio::sync::Notify;

/// The logs that have news for one reader, each once.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Many tell, the reader takes.
    logs: Mutex<BTreeSet<LogId>>,
    bell: Notify,
}

impl News {
    /// Adds logs and wakes the reader. News that arrive while it is busy are taken together.
    pub(crate) fn tell(&self, logs: &[LogId]) {
        self.lock().extend(logs);
        self.bell.notify_one();
    }

    /// What was told since the last call.
    pub(crate) fn take(&self) -> BTreeSet<LogId> {
        std::mem::take(&mut *self.lock())
    }

    /// Completes when something was told since the last wait. One reader waits at a time.
    pub(crate) async fn wait(&self) {
        self.bell.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<LogId>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries the growth of all logs from the committer to its readers.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    readers: RwLock<Vec<Weak<News>>>,
}

impl Growth {
    /// Tells `news` of every log that grows from here on, for as long as somebody else holds it.
    pub(crate) fn follow(&self, news: &Arc<News>) {
        let mut readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        let added = Arc::downgrade(news);
        readers.retain(|reader| reader.strong_count() > 0 && !reader.ptr_eq(&added));
        readers.push(added);
    }

    /// These logs grew, and readers of their trees see it.
    pub(crate) fn tell(&self, grown: &[LogId]) {
        if grown.is_empty() {
            return;
        }
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        readers.iter().filter_map(Weak::upgrade).for_each(|news| news.tell(grown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_reader_hears_of_each_log_once_and_of_nothing_else() {
        let [one, two] = [1, 2].map(|id| LogId::new(id).unwrap());
        let (growth, news, gone) = (Growth::default(), Arc::default(), Arc::default());
        growth.follow(&news);
        growth.follow(&gone);
        growth.follow(&news);
        drop(gone);
        growth.tell(&[]);
        assert!(futures_util::FutureExt::now_or_never(news.wait()).is_none());
        growth.tell(&[two, one]);
        growth.tell(&[two]);
        news.wait().await;
        assert_eq!(news.take(), BTreeSet::from([one, two]));
        assert_eq!(news.take(), BTreeSet::new());
        assert!(futures_util::FutureExt::now_or_never(news.wait()).is_none());
    }
}
