//! How a worker gets work: callers push items, and the worker takes all that wait at once.

mod doorbell;

pub(crate) use doorbell::Doorbell;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// From this many answers on, a task delivers them, not the thread that has them: to wake callers
/// from outside the runtime costs more than from within.
pub(crate) const DELIVER_IN_TASK_FROM: usize = 8;

/// Wakes the worker of an inbox.
pub(crate) trait Bell {
    fn ring(&self);
}

/// Wakes a thread.
impl Bell for Doorbell {
    fn ring(&self) {
        Doorbell::ring(self);
    }
}

/// Wakes a task. Rings that arrive while it is busy count as one.
impl Bell for Notify {
    fn ring(&self) {
        self.notify_one();
    }
}

/// How a worker ends. A later way includes the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Not at all.
    Never,
    /// Once nothing waits any more.
    WhenDone,
    /// After what the worker is doing now.
    Now,
}

/// The inbox was full, and nothing was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What waits for one worker, in the order it came.
#[derive(Debug)]
pub(crate) struct Inbox<T, B = Doorbell> {
    /// Callers push, the worker takes. `None` once the worker is gone.
    waiting: Mutex<Option<Vec<T>>>,
    items_max: usize,
    bell: B,
    stop: AtomicU8,
}

impl<T, B: Bell> Inbox<T, B> {
    /// An inbox of at most `items_max` items.
    pub(crate) fn new(items_max: usize, bell: B) -> Self {
        let waiting = Mutex::new(Some(Vec::new()));
        Self { waiting, items_max, bell, stop: AtomicU8::new(Stop::Never as u8) }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Vec<T>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bell(&self) -> &B {
        &self.bell
    }

    /// Adds an item and wakes the worker.
    pub(crate) fn push(&self, item: T) -> Result<(), Full> {
        self.add(item)?;
        self.bell.ring();
        Ok(())
    }

    /// Adds an item without waking the worker: either the worker is awake, or the caller rings. The
    /// item is dropped if the worker is gone, so that a caller that waits for an answer hears of it.
    pub(crate) fn add(&self, item: T) -> Result<(), Full> {
        let mut waiting = self.waiting();
        let Some(waiting) = &mut *waiting else { return Ok(()) };
        if waiting.len() >= self.items_max {
            return Err(Full);
        }
        waiting.push(item);
        Ok(())
    }

    /// Takes everything that waits.
    pub(crate) fn take(&self) -> Vec<T> {
        self.waiting().as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting().as_ref().is_none_or(Vec::is_empty)
    }

    /// Held by a worker that nobody replaces. When it is dropped, by a panic too, everything that waits
    /// is dropped.
    pub(crate) fn attended(&self) -> Attended<'_, T, B> {
        Attended(self)
    }

    /// Ends the worker.
    pub(crate) fn stop(&self, stop: Stop) {
        self.stop.fetch_max(stop as u8, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Whether the worker still takes new work.
    pub(crate) fn is_open(&self) -> bool {
        self.stopping() == Stop::Never
    }

    pub(crate) fn stopping(&self) -> Stop {
        match self.stop.load(Ordering::SeqCst) {
            0 => Stop::Never,
            1 => Stop::WhenDone,
            _ => Stop::Now,
        }
    }
}

/// While it lives, somebody reads the inbox.
#[derive(Debug)]
pub(crate) struct Attended<'a, T, B>(&'a Inbox<T, B>);

impl<T, B> Drop for Attended<'_, T, B> {
    fn drop(&mut self) {
        drop(self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl<T> Inbox<T> {
    /// Blocks the worker's thread until an item waits, and gives the number of rings seen until
    /// then; `None` once the worker must end.
    pub(crate) fn wait(&self, mut seen: u64) -> Option<u64> {
        while self.is_empty() {
            if !self.is_open() {
                return None;
            }
            seen = self.bell.rung();
            if self.is_empty() && self.is_open() {
                self.bell.wait(seen, 1, None);
            }
        }
        (self.stopping() != Stop::Now).then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn what_waits_for_a_worker_that_is_gone_is_dropped() {
        let inbox = Inbox::new(9, Doorbell::new());
        let (before, after) = (Arc::new(()), Arc::new(()));
        inbox.push(Arc::clone(&before)).unwrap();
        drop(inbox.attended());
        inbox.push(Arc::clone(&after)).unwrap();
        assert_eq!((Arc::strong_count(&before), Arc::strong_count(&after)), (1, 1));
        assert!(inbox.is_empty() && inbox.take().is_empty());
    }

    #[test]
    fn it_takes_all_that_waits_in_order_and_no_more_than_its_limit() {
        let inbox = Inbox::new(2, Doorbell::new());
        assert_eq!((inbox.push(1), inbox.push(2), inbox.push(3)), (Ok(()), Ok(()), Err(Full)));
        assert_eq!(inbox.take(), [1, 2]);
        assert!(inbox.is_empty());
        assert_eq!(inbox.push(3), Ok(()));
    }

    #[test]
    fn a_worker_ends_when_all_is_done_or_at_once() {
        let inbox = Inbox::new(9, Doorbell::new());
        inbox.push(1).unwrap();
        inbox.stop(Stop::WhenDone);
        assert!(inbox.wait(0).is_some());
        inbox.stop(Stop::Now);
        inbox.stop(Stop::WhenDone);
        assert_eq!(inbox.wait(0), None, "the stronger order stands");
        assert_eq!(inbox.take(), [1]);
        assert_eq!(inbox.wait(0), None);
    }

    #[test]
    fn a_push_wakes_a_worker_that_waits() {
        let inbox = Arc::new(Inbox::new(9, Doorbell::new()));
        let worker = thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || {
                let seen = inbox.wait(0);
                (seen, inbox.take())
            }
        });
        inbox.push(7).unwrap();
        let (seen, taken) = worker.join().unwrap();
        assert!(seen.is_some());
        assert_eq!(taken, [7]);
    }
}
