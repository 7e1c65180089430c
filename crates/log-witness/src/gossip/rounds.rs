//! The one task of gossip: it exchanges with each peer, and compares the heads that wait.

use std::collections::HashSet;

use formats::Origin;
use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};
use futures_util::stream::FuturesUnordered;
use merkle::Hash;

use super::book::Due;
use super::compare::{self, Compared, Source, Tiles};
use super::peers::Peer;
use super::{Gossip, GossipError, lock};
use crate::store::StoreError;

/// Logs that are asked for proofs at the same time. Most answer at once; one that does not holds its place
/// until its addresses had their time.
const COMPARISONS_MAX: usize = 64;
/// How often the task looks for heads to compare in the time of a round.
const TICKS_PER_ROUND: u32 = 4;

/// What the task is made of, each time it is started.
pub(super) struct Rounds {
    gossip: Gossip,
    /// None of them has exchanged anything yet.
    peers: Vec<Peer>,
}

impl Rounds {
    /// # Errors
    /// The machine's certificate authorities, which vouch for a peer, cannot be read.
    pub(super) fn new(gossip: &Gossip) -> Result<Self, GossipError> {
        let peers = gossip.inner.options.peers.iter();
        let peers = peers.map(|address| Peer::new(gossip, address)).collect::<Result<_, _>>()?;
        Ok(Self { gossip: gossip.clone(), peers })
    }

    /// The task.
    pub(super) fn run(&self) -> impl Future<Output = ()> + use<> {
        let comparisons = Comparisons {
            gossip: self.gossip.clone(),
            tiles: Tiles::new(self.gossip.inner.options.logs_dir.clone()),
            busy: HashSet::new(),
            refused_seen: HashSet::new(),
        };
        let peers = self.peers.clone();
        async move {
            join(comparisons.run(), join_all(peers.into_iter().map(Peer::follow))).await;
        }
    }
}

/// What comparing needs, and nobody else sees.
struct Comparisons {
    gossip: Gossip,
    tiles: Tiles,
    /// Logs whose heads are being compared.
    busy: HashSet<Origin>,
    /// Refused notes that were offered already. Bounded by what the store keeps.
    refused_seen: HashSet<Hash>,
}

impl Comparisons {
    async fn run(mut self) {
        let gossip = self.gossip.clone();
        let mut comparing = FuturesUnordered::new();
        for tick in 0_u64.. {
            // Reading the configuration and the store costs more than looking for heads that wait.
            if tick.is_multiple_of(u64::from(TICKS_PER_ROUND)) {
                gossip.follow_witness();
                if let Err(error) = self.offer_refused().await {
                    tracing::error!(%error, "the store cannot be read for gossip");
                }
            }
            let interval = gossip.inner.options.interval;
            let mut pause = gossip.inner.clock.sleep(interval / TICKS_PER_ROUND);
            loop {
                for (origin, sources, due) in self.due().await {
                    comparing.push(gossip.compare_all(origin, sources, due));
                }
                let (pending, suspects) = lock(&gossip.inner.book).counts();
                gossip.inner.metrics.gossip(pending, suspects);
                tokio::select! {
                    Some(origin) = comparing.next() => drop(self.busy.remove(&origin)),
                    () = &mut pause => break,
                }
            }
        }
    }

    /// Offers what this witness refused and kept, like any other head.
    async fn offer_refused(&mut self) -> Result<(), StoreError> {
        let inner = &self.gossip.inner;
        let mut kept = HashSet::new();
        for origin in inner.witness.store().refused_origins()? {
            for (_, refused) in inner.witness.store().refused(&origin)? {
                let note = merkle::leaf_hash(&refused.note);
                kept.insert(note);
                if !self.refused_seen.contains(&note)
                    && let Err(error) = self.gossip.offer(&refused.note).await
                {
                    tracing::debug!(%origin, %error, "a refused note says nothing");
                }
            }
        }
        // The store lets go of old ones, and so does this: anyone can have another one kept.
        self.refused_seen = kept;
        Ok(())
    }

    /// The logs to start comparing now, as many as there is room for.
    async fn due(&mut self) -> Vec<(Origin, Vec<Source>, Vec<Due>)> {
        let now = self.gossip.inner.clock.monotonic();
        let room = COMPARISONS_MAX.saturating_sub(self.busy.len());
        let due = lock(&self.gossip.inner.book).due(now, &self.busy, room);
        if due.is_empty() {
            return Vec::new();
        }
        self.tiles.refresh(now).await;
        let with_sources = due.into_iter().map(|(origin, due)| {
            self.busy.insert(origin.clone());
            let sources = self.tiles.sources(&origin);
            (origin, sources, due)
        });
        with_sources.collect()
    }
}

impl Gossip {
    /// Compares the heads of one log, one after the other, over one connection to each address. A log that
    /// does not answer makes its own heads wait, and no others.
    async fn compare_all(&self, origin: Origin, sources: Vec<Source>, due: Vec<Due>) -> Origin {
        for due in due {
            self.compare(&sources, due).await;
        }
        origin
    }

    async fn compare(&self, sources: &[Source], due: Due) {
        let Some(newest) = self.signed(&due.origin, &due.newest) else { return };
        let (head, clock) = (due.head.signed(), &*self.inner.clock);
        let mut compared = compare::compare(sources, &newest, &head, clock).await;
        for smaller in &due.smaller {
            if compared != Compared::Unproven {
                break;
            }
            let found = compare::compare(sources, &smaller.signed(), &head, clock).await;
            compared = found.without_consistency();
        }
        match compared {
            Compared::Consistent => lock(&self.inner.book).consistent(due),
            Compared::Contradiction(evidence) => {
                if let Err(error) = self.convict(&evidence).await {
                    tracing::warn!(origin = %due.origin, %error, "evidence was not kept");
                }
            }
            Compared::Unproven => self.unproven(&due, !sources.is_empty()),
        }
    }

    fn unproven(&self, due: &Due, asked: bool) {
        let (now, suspect_after) = (self.inner.clock.monotonic(), self.inner.options.suspect_after);
        if !lock(&self.inner.book).unproven(due, now, suspect_after, asked) {
            return;
        }
        let (origin, size, known) = (&due.origin, due.head.size().get(), due.newest.size().get());
        if asked {
            tracing::error!(
                %origin, size, known,
                "the log is a suspect: it signed two heads, and none of its addresses proves that one \
                 continues the other"
            );
        } else {
            tracing::error!(
                %origin, size, known,
                "the log is a suspect: it signed two heads, and no address is known where their proof \
                 could be; put the prefix of its tiles into its .url file"
            );
        }
    }
}
