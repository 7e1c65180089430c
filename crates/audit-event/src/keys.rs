//! Once only: an event is known by its log, source and id.
//!
//! All digests here are keyed with the log's secret, so that none of them can be compared with a
//! guess, and none outlives an erasure as a fingerprint of what was erased.

use std::fmt;

use zeroize::Zeroizing;

use crate::commit::hmac;
use crate::hex;
use crate::json::ReadEvent;
use crate::limits::cut;
use crate::schema;
use crate::text;
use crate::validate::ValidEvent;
use crate::value::{Object, Value};

const EVENT_KEY: u8 = 0x03;
const CONTENT: u8 = 0x04;
const ITEM: u8 = 0x05;

/// The tag under which unknown members enter the content digest of an own event.
const UNKNOWN_TAG: u8 = 7;

/// Bytes of an id that stay before the digest of a reused one: with `#` and 16 digits 128 in all.
const REUSED_ID_MAX: usize = 111;

/// 32 random bytes of one log, in `keys/<log>.audit`. They are overwritten when dropped.
#[derive(Clone)]
pub struct LogSecret(Zeroizing<[u8; 32]>);

/// What an event is known by in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKey(pub [u8; 32]);

/// What tells one content from another under the same event key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest(pub [u8; 32]);

/// The id of a foreign item whose own id already stands in the log with another content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReusedId(String);

impl ReusedId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as text, by value.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl From<[u8; 32]> for LogSecret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for LogSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSecret(..)")
    }
}

impl LogSecret {
    /// HMAC(secret, 0x03 ‖ u16 length of source ‖ source ‖ id), as they stand in `core`.
    pub fn event_key(&self, event: &ValidEvent) -> EventKey {
        let source = event.source();
        let parts: [&[u8]; 4] =
            [&[EVENT_KEY], &source_length(source), source.as_bytes(), event.id().as_bytes()];
        EventKey(hmac(&*self.0, &parts))
    }

    /// The content digest of an event of our own API, as it was read: HMAC(secret, 0x04 ‖ for the
    /// blocks 1 to 6 in order: tag ‖ u32 length ‖ bytes). What the server adds is not in it, so that
    /// a retry is known after the server has changed its mind about a default. Unknown members are,
    /// as one object from pointer to value under tag 7; a member `numbers` there lists the pointers
    /// of those that were numbers.
    pub fn digest_of_own(&self, read: &ReadEvent) -> ContentDigest {
        let objects = schema::objects(&read.event, None).into_iter();
        let mut blocks: Vec<(u8, String)> =
            objects.map(|(tag, object)| (tag.number(), text::write(&object))).collect();
        if !read.unknown.is_empty() {
            blocks.push((UNKNOWN_TAG, text::write(&unknown_members(read))));
        }
        let mut message = vec![CONTENT];
        for (tag, bytes) in blocks {
            let length = u32::try_from(bytes.len()).expect("an event has at most 1 MiB");
            message.push(tag);
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(bytes.as_bytes());
        }
        ContentDigest(hmac(&*self.0, &[&message]))
    }

    /// The content digest of a foreign item: HMAC(secret, 0x04 ‖ u16 length of source ‖ source ‖ RAW).
    /// `item` is the whole item, also where less of it is kept.
    pub fn digest_of_foreign(&self, event: &ValidEvent, item: &[u8]) -> ContentDigest {
        let source = event.source();
        let parts: [&[u8]; 4] = [&[CONTENT], &source_length(source), source.as_bytes(), item];
        ContentDigest(hmac(&*self.0, &parts))
    }

    /// The id of a foreign item that has none of its own: `h:` and 32 digits of
    /// HMAC(secret, 0x05 ‖ RAW).
    pub fn id_of_item(&self, item: &[u8]) -> String {
        let digits = hex::encode(&hmac(&*self.0, &[&[ITEM], item]));
        format!("h:{}", &digits[..32])
    }

    /// The id under which a foreign item is sealed whose own id stands in the log with another
    /// content: `<id, cut to 111 bytes>#<16 digits of HMAC(secret, 0x05 ‖ RAW)>`.
    pub fn id_of_reused(&self, id: &str, item: &[u8]) -> ReusedId {
        let digits = hex::encode(&hmac(&*self.0, &[&[ITEM], item]));
        ReusedId(format!("{}#{}", cut(id, REUSED_ID_MAX), &digits[..16]))
    }
}

fn source_length(source: &str) -> [u8; 2] {
    u16::try_from(source.len()).expect("a source has at most 256 bytes").to_be_bytes()
}

fn unknown_members(read: &ReadEvent) -> Object {
    let member = |(path, value): &(crate::Path, Value)| (path.pointer(), value.clone());
    let mut object: Object = read.unknown.iter().map(member).collect();
    if !read.unknown_numbers.is_empty() {
        let pointers = read.unknown_numbers.iter().map(|pointer| Value::from(pointer.as_str()));
        object.insert("numbers".to_owned(), Value::List(pointers.collect()));
    }
    object
}
