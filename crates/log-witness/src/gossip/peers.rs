//! Rounds of anti-entropy with one peer.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use formats::{Evidence, Origin, OriginHash};
use log_proto::gossip_v1 as pb;
use log_proto::gossip_v1::gossip_service_client::GossipServiceClient;
use tls::{AuthoritiesError, OtherKey};
use tonic::transport::Channel;

use super::address::PeerAddress;
use super::exchange::{self, CHECKPOINTS_MAX, EVIDENCE_MAX, Given, Handed, MESSAGE_BYTES_MAX};
use super::{Gossip, lock};

/// How long connecting to a peer, and one call, may take.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One peer: the connection to it, and what it was told.
#[derive(Clone)]
pub(super) struct Peer {
    gossip: Gossip,
    address: PeerAddress,
    client: GossipServiceClient<Channel>,
    /// Logs whose evidence it was told. Bounded by the logs that have any.
    told: HashSet<Origin>,
    handed: Handed,
    said: Said,
}

/// What the log said last about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Answers,
    DoesNotAnswer,
    HasOtherKey(OtherKey),
}

/// Three to five quarters of an interval, so that peers do not fall into step.
fn jittered(interval: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2) % 512;
    interval * (768 + random) / 1024
}

impl Peer {
    /// A connection that is made at the first call, and again when it was lost.
    pub(super) fn new(gossip: &Gossip, address: &PeerAddress) -> Result<Self, AuthoritiesError> {
        let channel = address.channel(CALL_TIMEOUT)?;
        let client = GossipServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (gossip, address) = (gossip.clone(), address.clone());
        let (told, handed) = (HashSet::new(), Handed::default());
        Ok(Self { gossip, address, client, told, handed, said: Said::Answers })
    }

    /// Exchanges until dropped: after each interval, give or take a quarter, and at once after a
    /// conviction.
    pub(super) async fn follow(mut self) {
        let gossip = self.gossip.clone();
        let mut convictions = gossip.inner.convictions.subscribe();
        loop {
            convictions.mark_unchanged();
            let outcome = self.round().await;
            gossip.inner.metrics.gossip_round(&self.address.to_string(), outcome.is_ok());
            if outcome.is_err() {
                self.handed.forget();
            }
            self.report(&outcome);
            let pause = jittered(gossip.inner.options.interval);
            tokio::select! {
                () = gossip.inner.clock.sleep(pause) => {}
                changed = convictions.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn round(&mut self) -> Result<(), tonic::Status> {
        self.tell_evidence().await?;
        let now = self.gossip.inner.clock.monotonic();
        let accused = self.gossip.inner.witness.public().accused();
        let pulls = exchange::pulls(&lock(&self.gossip.inner.book), &accused, now);
        for request in pulls {
            let answer = self.client.pull(request).await?.into_inner();
            self.take(answer).await?;
        }
        self.hand_over().await
    }

    async fn tell_evidence(&mut self) -> Result<(), tonic::Status> {
        let accused = self.gossip.inner.witness.public().accused();
        let convicted: Vec<Origin> = accused.into_keys().collect();
        self.told.retain(|origin| convicted.contains(origin));
        let untold: Vec<Origin> =
            convicted.into_iter().filter(|origin| !self.told.contains(origin)).collect();
        for origins in untold.chunks(EVIDENCE_MAX) {
            let evidence = origins.iter().filter_map(|origin| self.gossip.evidence(origin));
            let request = pb::PushRequest { evidence: evidence.collect(), ..Default::default() };
            self.client.push(request).await?;
            self.told.extend(origins.iter().cloned());
        }
        Ok(())
    }

    async fn take(&mut self, answer: pb::PullResponse) -> Result<(), tonic::Status> {
        let pb::PullResponse { checkpoints, evidence, wanted } = answer;
        self.gossip.take(&checkpoints, &evidence).await;
        let wanted = wanted.iter().take(CHECKPOINTS_MAX);
        let wanted: Vec<OriginHash> =
            wanted.filter_map(|hash| exchange::origin_hash("wanted", hash).ok()).collect();
        let now = self.gossip.inner.clock.monotonic();
        let heads = exchange::asked_for(&lock(&self.gossip.inner.book), &wanted, now);
        self.push(heads).await.map(drop)
    }

    /// Hands over the heads that cannot be compared here: this peer may be able to. One message a round;
    /// what it has no room for comes in a later one.
    async fn hand_over(&mut self) -> Result<(), tonic::Status> {
        let now = self.gossip.inner.clock.monotonic();
        let stuck = exchange::stuck(&lock(&self.gossip.inner.book), now);
        let untold = self.handed.untold(stuck, now);
        let given = self.push(untold).await?;
        self.handed.told(&given);
        Ok(())
    }

    /// Pushes heads, as many as a message has room for, and gives those.
    async fn push(&mut self, heads: Vec<Given>) -> Result<Vec<Given>, tonic::Status> {
        let (given, checkpoints) = self.gossip.notes(heads);
        if !checkpoints.is_empty() {
            let request = pb::PushRequest { checkpoints, ..Default::default() };
            self.client.push(request).await?;
        }
        Ok(given)
    }

    /// Logs once that a peer does not answer or has another key, and once that it is back.
    fn report(&mut self, outcome: &Result<(), tonic::Status>) {
        let other_key = outcome.as_ref().err().and_then(|status| tls::other_key(status)).cloned();
        let found = match (outcome, other_key) {
            (Ok(()), _) => Said::Answers,
            (Err(_), Some(key)) => Said::HasOtherKey(key),
            (Err(_), None) => Said::DoesNotAnswer,
        };
        if found == self.said {
            return;
        }
        let peer = &self.address;
        match (&found, outcome) {
            (Said::HasOtherKey(OtherKey { wanted, seen }), _) => tracing::warn!(
                %peer, %wanted, %seen,
                "the peer has another key than the one that is pinned, and is told nothing: if its \
                 operator made a new key, put the new pin into --peer; if not, somebody stands between"
            ),
            (_, Err(status)) => tracing::warn!(%peer, %status, "the peer does not answer"),
            (_, Ok(())) => tracing::info!(%peer, "the peer answers again"),
        }
        self.said = found;
    }
}

impl Gossip {
    /// Takes the heads and the evidence of a message. Useless ones are skipped: others may have a use for
    /// them.
    pub(super) async fn take(&self, checkpoints: &[Bytes], evidence: &[Bytes]) {
        for bytes in evidence {
            let Ok(evidence) = Evidence::parse(bytes) else { continue };
            if let Err(error) = self.convict(&evidence).await {
                tracing::debug!(origin = %evidence.origin(), %error, "evidence was not taken");
            }
        }
        for note in checkpoints {
            // Each costs verifications, and anyone may send hundreds. Other tasks get their turn here.
            tokio::task::yield_now().await;
            if let Err(error) = self.offer(note).await {
                tracing::debug!(%error, "a head was not taken");
            }
        }
    }
}
