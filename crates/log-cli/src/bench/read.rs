//! Verified reads: the inclusion proof of a random entry, under a checkpoint whose signature is verified
//! unless it was before.

use std::sync::Arc;

use log_client::verify::{CheckpointVerifier, VerifiedCheckpoints};
use log_proto::log_v1::get_inclusion_proof_request::Entry;
use log_proto::log_v1::log_service_client::LogServiceClient;
use log_proto::log_v1::{GetInclusionProofRequest, GetInclusionProofResponse};
use merkle::{Hash, LeafIndex};
use tonic::transport::Channel;

use super::grpc::refused;
use super::load::{Call, Done, Reply};

/// A worker that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    client: LogServiceClient<Channel>,
    log: String,
    /// Indexes below this are read.
    size: u64,
    remembered: Arc<VerifiedCheckpoints>,
}

impl Reader {
    pub(crate) fn new(
        channel: Channel,
        log: String,
        size: u64,
        remembered: Arc<VerifiedCheckpoints>,
    ) -> Self {
        Self { client: LogServiceClient::new(channel), log, size, remembered }
    }
}

impl Call for Reader {
    async fn call(&mut self, number: u64) -> Reply {
        let Some(index) = scatter(number).checked_rem(self.size) else {
            return Reply::Failed("the log is empty".to_owned());
        };
        let request = GetInclusionProofRequest {
            log: self.log.clone(),
            entry: Some(Entry::LeafIndex(index)),
            tree_size: 0,
        };
        match self.client.get_inclusion_proof(request).await {
            Ok(answer) => match verify(&answer.into_inner(), index, &self.remembered) {
                Ok(()) => Reply::Done(Done::default()),
                Err(error) => Reply::Failed(error),
            },
            Err(status) => refused(&status),
        }
    }
}

fn verify(
    answer: &GetInclusionProofResponse,
    index: u64,
    remembered: &VerifiedCheckpoints,
) -> Result<(), String> {
    let checkpoint =
        remembered.verify_note(&answer.checkpoint).map_err(|e| base::error::chain(&e))?;
    let leaf = hash(&answer.leaf_hash)?;
    let hashes = answer.hashes.iter().map(|bytes| hash(bytes)).collect::<Result<Vec<_>, _>>()?;
    let index = LeafIndex::new(index).map_err(|error| error.to_string())?;
    merkle::verify_inclusion(&leaf, index, checkpoint.size(), &hashes, checkpoint.root())
        .map_err(|error| error.to_string())
}

fn hash(bytes: &[u8]) -> Result<Hash, String> {
    Hash::try_from(bytes).map_err(|error| error.to_string())
}

/// Spreads consecutive numbers over all of u64: the finalizer of `SplitMix64`.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
