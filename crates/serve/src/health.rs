//! Whether a server is ready, and if not, why.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::tasks::Supervisor;

/// Why a server is not ready, as `/readyz` says it.
pub type Reason = Cow<'static, str>;

/// The readiness of one server. Cloning it is cheap.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

struct Inner {
    supervisor: Supervisor,
    stopping: AtomicBool,
    check: Box<dyn Fn() -> Result<(), Reason> + Send + Sync>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("readiness", &self.readiness()).finish()
    }
}

impl Health {
    /// Ready while no task of `supervisor` is down and `check`, the server's own reasons, finds nothing.
    pub fn new<R: Into<Reason>>(
        supervisor: Supervisor,
        check: impl Fn() -> Result<(), R> + Send + Sync + 'static,
    ) -> Self {
        let check = Box::new(move || check().map_err(Into::into));
        Self { inner: Arc::new(Inner { supervisor, stopping: AtomicBool::new(false), check }) }
    }

    /// The server is not ready from here on, because it stops.
    pub fn stop(&self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::SeqCst)
    }

    /// Whether requests can be served as they should, or why not.
    pub fn readiness(&self) -> Result<(), Reason> {
        let Inner { supervisor, check, .. } = &*self.inner;
        if self.is_stopping() {
            return Err("the server is stopping".into());
        }
        if let Some(name) = supervisor.vital_down() {
            return Err(format!("{name} panicked: the process ends").into());
        }
        let down = supervisor.down();
        if !down.is_empty() {
            return Err(format!("panicked, and will be started again: {}", down.join(", ")).into());
        }
        check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reasons_are_named_the_worst_first() {
        let supervisor = Supervisor::new();
        let low = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&low);
        let check =
            move || if seen.load(Ordering::SeqCst) { Err("the disk is low") } else { Ok(()) };
        let health = Health::new(supervisor.clone(), check);
        assert_eq!(health.readiness(), Ok(()));
        low.store(true, Ordering::SeqCst);
        assert_eq!(health.readiness(), Err("the disk is low".into()));

        let mut panicked = false;
        let helper = supervisor.helper("backup", move || {
            assert!(std::mem::replace(&mut panicked, true), "on purpose");
            std::future::ready(())
        });
        while supervisor.down().is_empty() {
            tokio::task::yield_now().await;
        }
        let reason = "panicked, and will be started again: backup";
        assert_eq!(health.readiness(), Err(reason.into()));
        helper.await.unwrap();
        assert_eq!(health.readiness(), Err("the disk is low".into()));

        let vital = supervisor.vital("listener", async { panic!("on purpose") }, || ());
        assert_eq!(vital.await.unwrap(), None::<()>);
        assert_eq!(health.readiness(), Err("listener panicked: the process ends".into()));
        health.stop();
        assert_eq!(health.readiness(), Err("the server is stopping".into()));
    }
}
