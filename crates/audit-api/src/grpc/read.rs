//! One event, and its receipt.

use audit_event::Tags;
use audit_event::evidence::line::ShownBlock;
use audit_event::text;
use audit_trail::StoredEvent;
use bytes::Bytes;
use log_proto::audit_v1 as pb;
use merkle::LeafIndex;
use serve::refusal::Refusal;

use crate::audit::Audit;
use crate::{refusal, shown};

pub(super) async fn event(
    audit: &Audit,
    request: pb::GetEventRequest,
) -> Result<pb::StoredEvent, Refusal> {
    let pb::GetEventRequest { log, index } = request;
    let (log, index) = (audit.log(&log)?, parse(index)?);
    let stored = base::tasks::blocking(move || StoredEvent::read(&log, index)).await;
    Ok(message(stored.map_err(refusal::of_stored)?))
}

pub(super) async fn receipt(
    audit: &Audit,
    request: pb::GetEventRequest,
) -> Result<pb::GetEventReceiptResponse, Refusal> {
    let pb::GetEventRequest { log, index } = request;
    let (log, index) = (audit.log(&log)?, parse(index)?);
    let tlog_proof = audit.receipt(&log, index).await?;
    Ok(pb::GetEventReceiptResponse { tlog_proof })
}

fn parse(index: u64) -> Result<LeafIndex, Refusal> {
    LeafIndex::new(index).map_err(|_| refusal::event_not_found())
}

pub(super) fn message(stored: StoredEvent) -> pb::StoredEvent {
    let names = |tags: Tags| tags.iter().map(|tag| tag.name().to_owned()).collect();
    let (sentence, damaged) = (shown::sentence(&stored), stored.damaged);
    let (received_at, leaf_hash) = (stored.received_at(), stored.leaf_hash);
    let line = stored.into_line();
    let block = |block: &ShownBlock| pb::stored_event::Block {
        name: block.tag.name().to_owned(),
        salt: Bytes::copy_from_slice(block.salt.as_bytes()),
        content: Bytes::copy_from_slice(&block.bytes),
    };
    pb::StoredEvent {
        index: line.index.get(),
        received_at: received_at.to_nine_digits(),
        leaf: line.leaf.encode().into(),
        leaf_hash: Bytes::copy_from_slice(leaf_hash.as_bytes()),
        sentence,
        blocks: line.blocks.iter().map(block).collect(),
        withheld: names(line.withheld.without(damaged)),
        erased: names(line.erased),
        damaged: names(damaged),
        event_json: text::write(&shown::members(&line)),
    }
}
