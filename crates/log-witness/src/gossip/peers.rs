//! Rounds of anti-entropy with one peer each.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use checkpoint::{Evidence, Origin};
use log_proto::gossip_v1 as pb;
use log_proto::gossip_v1::gossip_service_client::GossipServiceClient;
use tonic::transport::{Channel, Endpoint};

use super::exchange::{EVIDENCE_MAX, MESSAGE_BYTES_MAX};
use super::{Gossip, lock};

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Peers of one witness: each costs a connection, and a call for every thousand logs and round.
const PEERS_MAX: usize = 64;

/// Why an address is not one of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerUrlError {
    #[error("peer {url:?} is not of the form http://HOST:PORT")]
    Form { url: String },
    #[error(
        "peer {url:?} is on another machine, and the connection is not encrypted: \
         accept it with --insecure-peers"
    )]
    Insecure { url: String },
    #[error("more than {PEERS_MAX} peers")]
    TooMany,
}

/// The addresses of peers, separated by blanks or commas.
///
/// # Errors
/// One is no address; or it is not on loopback, which needs `insecure`.
pub fn parse_peers(text: &str, insecure: bool) -> Result<Vec<String>, PeerUrlError> {
    let split = text.split([' ', ',']).filter(|url| !url.is_empty());
    let peers: Vec<String> =
        split.map(|url| check(url, insecure).map(|()| url.to_owned())).collect::<Result<_, _>>()?;
    if peers.len() > PEERS_MAX { Err(PeerUrlError::TooMany) } else { Ok(peers) }
}

fn check(url: &str, insecure: bool) -> Result<(), PeerUrlError> {
    let uri: Option<http::Uri> = url.parse().ok();
    let uri = uri.filter(|uri| uri.scheme_str() == Some("http") && uri.path() == "/");
    let host = uri.as_ref().and_then(http::Uri::host);
    let host = host.ok_or_else(|| PeerUrlError::Form { url: url.to_owned() })?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if loopback || insecure { Ok(()) } else { Err(PeerUrlError::Insecure { url: url.to_owned() }) }
}

/// Exchanges with one peer until dropped: each interval, give or take a quarter, and at once after new
/// evidence.
pub(super) async fn follow(gossip: Gossip, url: String) {
    let Ok(endpoint) = Endpoint::from_shared(url.clone()) else { return };
    let endpoint = endpoint.connect_timeout(CALL_TIMEOUT).timeout(CALL_TIMEOUT);
    let client = GossipServiceClient::new(endpoint.connect_lazy())
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut peer = Peer { gossip: gossip.clone(), client, told: HashSet::new(), reachable: true };
    let mut convictions = gossip.inner.convictions.subscribe();
    loop {
        convictions.mark_unchanged();
        let outcome = peer.round().await;
        gossip.inner.metrics.gossip_round(outcome.is_ok());
        peer.report(&url, &outcome);
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
    client: GossipServiceClient<Channel>,
    /// Logs whose evidence it has been told. Bounded by the logs that have any.
    told: HashSet<Origin>,
    reachable: bool,
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

    /// Says once that a peer is gone, and once that it is back.
    fn report(&mut self, url: &str, outcome: &Result<(), tonic::Status>) {
        match outcome {
            Ok(()) if !self.reachable => tracing::info!(url, "the peer answers again"),
            Err(status) if self.reachable => {
                tracing::warn!(url, %status, "the peer does not answer");
            }
            Ok(()) | Err(_) => {}
        }
        self.reachable = outcome.is_ok();
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
            if let Err(error) = self.offer(note).await {
                tracing::debug!(%error, "a head was not taken");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_on_loopback_unless_the_operator_consents() {
        let peers = parse_peers("http://127.0.0.1:1 http://[::1]:2,http://localhost:3", false);
        assert_eq!(peers.unwrap().len(), 3);
        assert!(parse_peers("", false).unwrap().is_empty());
        let url = "http://192.0.2.1:1".to_owned();
        assert!(parse_peers(&url, true).is_ok());
        assert_eq!(parse_peers(&url, false), Err(PeerUrlError::Insecure { url }));
        for bad in ["127.0.0.1:1", "https://127.0.0.1:1", "http://127.0.0.1:1/a", "http://"] {
            let url = bad.to_owned();
            assert_eq!(parse_peers(bad, true), Err(PeerUrlError::Form { url }));
        }
        let many = vec!["http://127.0.0.1:1"; PEERS_MAX + 1].join(" ");
        assert_eq!(parse_peers(&many, false), Err(PeerUrlError::TooMany));
    }
}
