//! An event in blocks, each under its own salt, and the leaf that commits to them.

use audit_event::blocks::{Blocks, Stamp};
use audit_event::{Leaf, Raw, Salt, ValidEvent, Writer};
use log_core::{NewLeaf, Once};
use storage::{Attachment, ContentDigest};

/// The most salts that one event needs: one a block.
const SALTS_OF_EVENT: usize = 7;

/// Random bytes of the operating system, read once for all events of a call.
pub(crate) struct Random {
    bytes: Vec<u8>,
    at: usize,
}

impl Random {
    /// Enough for the ids and salts of so many events.
    pub(crate) fn for_events(count: usize) -> Result<Self, getrandom::Error> {
        let mut bytes = vec![0; count * (SALTS_OF_EVENT * Salt::LEN + 10)];
        getrandom::fill(&mut bytes)?;
        Ok(Self { bytes, at: 0 })
    }

    /// Bytes that were given nobody else.
    ///
    /// # Panics
    /// If more are taken than were read for: a defect of ours.
    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let next = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk());
        self.at += N;
        *next.expect("random bytes are read for each event")
    }
}

/// Seals an event. The log writes the time into the leaf.
pub(crate) fn seal(
    event: &ValidEvent,
    raw: Option<Raw>,
    writer: Option<Writer>,
    once: ([u8; 32], [u8; 32]),
    random: &mut Random,
) -> NewLeaf {
    let blocks = Blocks::of(event, Stamp { writer, raw });
    let sealed = Leaf::commit(0, &blocks, || Salt::from(random.take()));
    let (leaf, salts) = sealed.expect("the blocks of an event are in the order of their tags");
    let attach = |(block, salt): (audit_event::Block, Salt)| {
        let (kind, text) = (block.tag().number(), block.into_bytes());
        Attachment { kind, key_id: 0, bytes: [&salt.as_bytes()[..], &text].concat().into() }
    };
    let attachments = blocks.into_iter().zip(salts).map(attach).collect();
    let (key, digest) = once;
    let once = Some(Once { key, digest: ContentDigest(digest) });
    NewLeaf { leaf: leaf.encode().into(), once, attachments }
}
