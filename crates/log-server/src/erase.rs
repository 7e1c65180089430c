//! Erasing blocks of an event, by an operator's order.
//!
//! The log gets the event `privacy.erased`, which names the event and the blocks, and says why. Its
//! commit erases them.

use std::ffi::OsString;
use std::fmt::Write as _;

use audit_event::leaf::LeafError;
use audit_event::{Leaf, Tag, Tags};
use audit_trail::own::OwnError;
use audit_trail::{OwnEvent, Trail};
use base::durable::FileError;
use base::tasks::blocking;
use log_core::erase::{ErasedBefore, Targets};
use log_core::{EraseError, Log, Registry};
use merkle::LeafIndex;
use storage::{EraseTarget, LogKind, StorageError};

use crate::copies::{Copies, CopyError};

/// What the event is called.
const ACTION: &str = "privacy.erased";
/// Bytes of a reason: what a detail of an event may have.
const REASON_BYTES_MAX: usize = 1_024;
/// What an event is called as a target.
const TARGET: &str = "event";

/// What an operator wants to be erased, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The log's name.
    pub log: String,
    /// The event.
    pub index: LeafIndex,
    /// Its blocks, at least one.
    pub blocks: Tags,
    /// Why: recorded for good.
    pub reason: String,
}

/// Words that are no order.
#[derive(Debug, thiserror::Error)]
pub enum BadOrder {
    #[error("an order to erase names a log, an index, a reason, and one block at least")]
    Words,
    #[error("an index is a whole number below 2^63")]
    Index,
    #[error("there is no such block: {}", NAMES.join(", "))]
    Block,
}

/// The names of blocks.
pub const NAMES: [&str; 7] = ["core", "actor", "origin", "target", "changes", "detail", "raw"];

/// Why an order was not carried out, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum NotErased {
    #[error("no log named {log}")]
    UnknownLog { log: String },
    #[error("log {log} is not an audit log: it has no events")]
    NoEvents { log: String },
    #[error("event {} of log {log} has no block {tag}; it has {}", index.get(), names(*has))]
    NoSuchBlock { log: String, index: LeafIndex, tag: Tag, has: Tags },
    #[error("a reason must be given")]
    NoReason,
    #[error("a reason has at most {REASON_BYTES_MAX} bytes")]
    ReasonTooLong,
    #[error("entry {} of log {log} is damaged: {source}; run `cairn-server fsck`", index.get())]
    Damaged { log: String, index: LeafIndex, source: LeafError },
    #[error("block {tag} of event {} of log {log} is missing: run `cairn-server fsck`", index.get())]
    Missing { log: String, index: LeafIndex, tag: Tag },
    #[error("storage: {0}")]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Own(#[from] OwnError),
    #[error("it is not marked that copies must be cleaned: {0}")]
    Mark(#[from] FileError),
    #[error("erased from the log, but perhaps not from a copy, which the next start does: {0}")]
    Copies(#[source] CopyError),
    #[error(transparent)]
    Erase(#[from] EraseError),
}

impl Order {
    /// The words in which an order is sent: log, index, reason, blocks.
    pub fn words(&self) -> Vec<OsString> {
        let front = [self.log.clone(), self.index.get().to_string(), self.reason.clone()];
        let blocks = self.blocks.iter().map(|tag| tag.name().to_owned());
        front.into_iter().chain(blocks).map(OsString::from).collect()
    }

    /// Reads the words of [`Self::words`].
    pub fn read(words: &[OsString]) -> Result<Self, BadOrder> {
        let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
        match words.as_deref() {
            Some([log, index, reason, blocks @ ..]) if !blocks.is_empty() => Ok(Self {
                log: (*log).to_owned(),
                index: index_of(index)?,
                blocks: blocks.iter().map(|name| block_of(name)).collect::<Result<_, _>>()?,
                reason: (*reason).to_owned(),
            }),
            _ => Err(BadOrder::Words),
        }
    }
}

/// Reads an index.
pub fn index_of(text: &str) -> Result<LeafIndex, BadOrder> {
    let index = text.parse().ok().and_then(|index| LeafIndex::new(index).ok());
    index.ok_or(BadOrder::Index)
}

/// Reads the name of a block.
pub fn block_of(name: &str) -> Result<Tag, BadOrder> {
    Tag::from_name(name).ok_or(BadOrder::Block)
}

/// Carries an order out, and gives what the operator must know.
pub async fn erase(
    registry: &Registry,
    copies: &Copies,
    order: &Order,
) -> Result<String, NotErased> {
    let unknown = || NotErased::UnknownLog { log: order.log.clone() };
    let log = registry.log(&order.log).ok_or_else(unknown)?;
    if log.record().kind != LogKind::Audit {
        return Err(NotErased::NoEvents { log: order.log.clone() });
    }
    if order.reason.trim().is_empty() {
        return Err(NotErased::NoReason);
    }
    if order.reason.len() > REASON_BYTES_MAX {
        return Err(NotErased::ReasonTooLong);
    }
    let tags = blocks_of(&log, order).await?;
    let kinds = tags.iter().map(Tag::number).collect();
    let erasing = log.erase(Targets::from([(order.index, kinds)])).await;
    let erasing = erasing.map_err(|error| match error {
        EraseError::NotThere { index, kind } => match Tag::from_number(kind) {
            Some(tag) => NotErased::Missing { log: order.log.clone(), index, tag },
            None => EraseError::NotThere { index, kind }.into(),
        },
        error => error.into(),
    })?;
    let before = erasing.before().to_vec();
    let [target] = erasing.targets() else {
        erasing.finish().await?;
        clean(copies, &log, order).await?;
        return Ok(said_before(order, &before));
    };
    let erased = tags_of(target);
    let leaf = Trail::new(registry.clone()).own_leaf(&log, statement(order, erased))?;
    let (marking, name, index) = (copies.clone(), order.log.clone(), order.index);
    blocking(move || marking.mark(&name, index)).await?;
    let stated = erasing.commit(leaf).await?;
    clean(copies, &log, order).await?;
    let mut said = format!(
        "erased {} of event {} of log {}\n{ACTION} stands at index {}\n",
        names(erased),
        order.index.get(),
        order.log,
        stated.index.get()
    );
    if !before.is_empty() {
        said.push_str(&said_before(order, &before));
        said.push('\n');
    }
    said.push_str(
        "backups made before still hold these blocks, which were not encrypted (key id 0): erase or expire \
         them too",
    );
    Ok(said)
}

/// Rids search indexes and exports of what was erased.
async fn clean(copies: &Copies, log: &Log, order: &Order) -> Result<(), NotErased> {
    let (copies, log, index) = (copies.clone(), log.clone(), order.index);
    blocking(move || copies.clean(&log, index)).await.map_err(NotErased::Copies)
}

/// The blocks that an order means, after looking at what the event has.
async fn blocks_of(log: &Log, order: &Order) -> Result<Tags, NotErased> {
    let (engine, id, index) = (log.engine().clone(), log.id(), order.index);
    let size = log.tree().head.size;
    if !size.contains(index) {
        return Err(EraseError::BeyondSize { index, size }.into());
    }
    let entry = blocking(move || engine.entries(id, index, 1, 0)).await?.pop();
    let entry = entry.map(|entry| entry.data).unwrap_or_default();
    let damaged = |source| NotErased::Damaged { log: order.log.clone(), index, source };
    let has = Leaf::decode(&entry).map_err(damaged)?.tags();
    match order.blocks.without(has).iter().next() {
        Some(tag) => Err(NotErased::NoSuchBlock { log: order.log.clone(), index, tag, has }),
        None => Ok(order.blocks.with_raw().intersection(has)),
    }
}

/// The event that states an erasure.
fn statement(order: &Order, erased: Tags) -> OwnEvent {
    let index = order.index.get().to_string();
    OwnEvent::new(ACTION)
        .named_target(TARGET, &index, &names(erased))
        .detail("reason", &order.reason)
}

fn tags_of(target: &EraseTarget) -> Tags {
    target.kinds.iter().filter_map(|kind| Tag::from_number(*kind)).collect()
}

fn names(tags: Tags) -> String {
    tags.iter().map(Tag::name).collect::<Vec<_>>().join(", ")
}

fn said_before(order: &Order, before: &[ErasedBefore]) -> String {
    let mut said = format!("erased before, of event {} of log {}:", order.index.get(), order.log);
    for (at, ErasedBefore { kind, by, .. }) in before.iter().enumerate() {
        let name = Tag::from_number(*kind).map_or("?", Tag::name);
        let comma = if at == 0 { "" } else { "," };
        let _infallible = write!(said, "{comma} {name} (by event {})", by.get());
    }
    said
}

#[cfg(test)]
mod tests;
