//! What the server says of itself in the log `system`: that it started, stopped, runs with other settings,
//! believes another time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audit_trail::{OwnEvent, Trail};
use base::clock::Clock;
use base::durable;
use sha2::{Digest as _, Sha256};

use crate::config::Config;

/// How long an event is tried again at start, while the log takes none yet.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long a stop waits for its event.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Where the server speaks of itself.
#[derive(Clone, Debug)]
pub(crate) struct System {
    trail: Trail,
    /// Holds the digest of the settings of the last start.
    settings: PathBuf,
    digest: String,
}

impl System {
    pub(crate) fn new(trail: Trail, config: &Config) -> Self {
        // The digest only tells one set of settings from another.
        let digest: [u8; 32] = Sha256::digest(format!("{config:?}").as_bytes()).into();
        let digest = merkle::Hash::from(digest).to_string();
        Self { trail, settings: config.data_dir.join("settings.sha256"), digest }
    }

    /// Says that the server started, as soon as the log takes it, and that its settings are others than
    /// those of the last start.
    pub(crate) async fn started(self) {
        let before = std::fs::read_to_string(&self.settings).ok();
        let start = OwnEvent::new("system.start")
            .target("server", "cairn-server")
            .detail("version", env!("CARGO_PKG_VERSION"))
            .detail("settings_sha256", &self.digest);
        self.say_until_taken(start).await;
        if before.as_deref() == Some(&self.digest) {
            return;
        }
        if let Some(before) = before {
            let changed = OwnEvent::new("system.configured")
                .target("server", "cairn-server")
                .detail("before_sha256", &before)
                .detail("settings_sha256", &self.digest);
            self.say_until_taken(changed).await;
        }
        if let Err(error) = durable::replace(&self.settings, self.digest.as_bytes(), 0o600) {
            tracing::warn!(%error, "the digest of the settings cannot be kept");
        }
    }

    /// Says that the server stops; a log that does not take it in time does not hinder that.
    pub(crate) async fn stopping(&self) {
        let stop = OwnEvent::new("system.stop").target("server", "cairn-server");
        let said = self.clock().timeout(STOP_WITHIN, self.say(stop)).await;
        if !said.unwrap_or(false) {
            tracing::warn!(
                "the log {} does not say that the server stops",
                audit_trail::SYSTEM_LOG
            );
        }
    }

    /// Says that an operator had the server believe its clock.
    pub(crate) async fn clock_accepted(&self) {
        let accepted = OwnEvent::new("system.clock").target("server", "cairn-server");
        self.say(accepted).await;
    }

    async fn say_until_taken(&self, event: OwnEvent) {
        while !self.say(event.clone()).await {
            self.clock().sleep(TRY_AGAIN).await;
        }
    }

    /// Whether nobody has to try again.
    async fn say(&self, event: OwnEvent) -> bool {
        let Some(system) = self.trail.system() else { return true };
        match self.trail.record_own(&system, event).await {
            Ok(_) => true,
            Err(error) if error.may_pass() => false,
            Err(error) => {
                tracing::warn!(%error, "what the server does could not be recorded");
                true
            }
        }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(self.trail.registry().clock()) as Arc<dyn Clock>
    }
}
