//! Rounds of anti-entropy with one peer each.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use formats::{Evidence, Origin};
use log_proto::gossip_v1 as pb;
use log_proto::gossip_v1::gossip_service_client::GossipServiceClient;
use tls::OtherKey;
use tonic::transport::Channel;

use super::address::PeerAddress;
use super::exchange::{EVIDENCE_MAX, MESSAGE_BYTES_MAX};
use super::{Gossip, lock};

/// How long connecting to a peer, and one call, may take.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Exchanges with one peer until dropped: each interval, give or take a quarter, and at once after new
/// evidence.
pub(super) async fn follow(gossip: Gossip, address: PeerAddress, channel: Channel) {
    let client = GossipServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let told = HashSet::new();
    let mut peer = Peer { gossip: gossip.clone(), address, client, told, said: Said::Answers };
    let mut convictions = gossip.inner.convictions.subscribe();
    loop {
        convictions.mark_unchanged();
        let outcome = peer.round().await;
        gossip.inner.metrics.gossip_round(&peer.address.to_string(), outcome.is_ok());
        peer.report(&outcome);
        let pause = jittered(gossip.inner.options.interval);
        tokio::select! {
            () = gossip.inner.clock.sleep(pause) => {}
            changed = convictions.changed() => if changed.is_err() { return },
        }
    }
}

/// Three to five quarters of an interval, so that peers do not fall into step.
fn jittered(interval: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2) % 512;
    interval * (768 + random) / 1024
}

/// What is known of one peer.
struct Peer {
    gossip: Gossip,
    address: PeerAddress,
    client: GossipServiceClient<Channel>,
    /// Logs whose evidence it has been told. Bounded by the logs that have any.
    told: HashSet<Origin>,
    said: Said,
}

/// What was last said of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Answers,
    DoesNotAnswer,
    HasOtherKey(OtherKey),
}

impl Peer {
    async fn round(&mut self) -> Result<(), tonic::Status> {
        self.tell_evidence().await?;
        for request in self.gossip.pulls() {
            let answer = self.client.pull(request).await?.into_inner();
            self.take(answer).await?;
        }
        Ok(())
    }

    async fn tell_evidence(&mut self) -> Result<(), tonic::Status> {
        let convicted: Vec<Origin> = lock(&self.gossip.inner.convicted).keys().cloned().collect();
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
        if wanted.is_empty() {
            return Ok(());
        }
        let checkpoints = self.gossip.asked_for(&wanted);
        let request = pb::PushRequest { checkpoints, ..Default::default() };
        self.client.push(request).await.map(drop)
    }

    /// Says once that a peer is gone or another, and once that it is back.
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
                "the peer has another key than the one that is pinned, and is told nothing: either it \
                 was given a new one, which then belongs into --peer, or somebody stands between"
            ),
            (_, Err(status)) => tracing::warn!(%peer, %status, "the peer does not answer"),
            (_, Ok(())) => tracing::info!(%peer, "the peer answers again"),
        }
        self.said = found;
    }
}

impl Gossip {
    /// Takes what a message carried. What is of no use is left out without a word: it may be of use to
    /// others.
    pub(super) async fn take(&self, checkpoints: &[Bytes], evidence: &[Bytes]) {
        for bytes in evidence {
            let Ok(evidence) = Evidence::parse(bytes) else { continue };
            if let Err(error) = self.convict(&evidence).await {
                tracing::debug!(origin = %evidence.origin(), %error, "evidence was not taken");
            }
        }
        for note in checkpoints {
            // Each costs verifications, and anyone may send hundreds: others have their turn between them.
            tokio::task::yield_now().await;
            if let Err(error) = self.offer(note).await {
                tracing::debug!(%error, "a head was not taken");
            }
        }
    }
}
