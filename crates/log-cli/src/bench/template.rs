//! Requests are built once, and stamped for each call.
//!
//! Every entry starts with a stamp that makes it unique: 8 random bytes of this run, then its number
//! as a big-endian u64. An entry shorter than 16 bytes keeps the stamp's end. The rest is the same
//! filler in every entry, so that building a request costs one copy and no allocation of its own.
//! Events are different from each other, and of theirs the id is the stamp, in hex.

use bytes::{BufMut, Bytes};
use log_proto::log_v1::Receipt;

use super::items::{Framing, Item};
use prost::encoding::{encode_varint, encoded_len_varint};

/// Bytes of a stamp.
const STAMP_LEN: usize = 16;

/// Bytes of an id: a stamp in hex.
pub(super) const ID_LEN: usize = 2 * STAMP_LEN;

/// What follows the stamp.
const FILLER: u8 = b'.';

/// Protobuf tags of length-delimited fields 1 and 2, and of varint fields 1 and 3.
const FIELD_1_BYTES: u8 = 0x0a;
const FIELD_2_BYTES: u8 = 0x12;
const FIELD_1_VARINT: u8 = 0x08;
const FIELD_3_VARINT: u8 = 0x18;

/// What each request of a run looks like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) log: String,
    /// Entries of one request.
    pub(crate) entries: u64,
    /// Bytes of one entry.
    pub(crate) entry_bytes: usize,
    pub(crate) receipt: Receipt,
    /// Whether each entry carries a deduplication key.
    pub(crate) dedup: bool,
    /// Random, so that two runs never append the same entry.
    pub(crate) run: [u8; 8],
}

/// Request bytes with holes for the stamps.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    stamps: Vec<Hole>,
    entries: u64,
    entry_bytes: usize,
    run: [u8; 8],
    stamp_form: StampForm,
    /// Bytes of the items, as JSON.
    items_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum StampForm {
    /// The bytes themselves, or their end where the hole is shorter.
    Bytes,
    /// [`ID_LEN`] digits.
    Hex,
}

/// Where a stamp goes, and which entry of the request it belongs to.
#[derive(Debug)]
struct Hole {
    start: usize,
    len: usize,
    entry: u64,
}

impl Template {
    /// An `AppendRequest`; the shape has one entry.
    pub(crate) fn append(shape: &Shape) -> Self {
        let mut template = Self::new(shape);
        template.field_bytes(FIELD_1_BYTES, shape.log.as_bytes());
        template.entry(shape, 0);
        template.receipt(shape.receipt);
        template
    }

    /// An `AppendBatchRequest`.
    pub(crate) fn append_batch(shape: &Shape) -> Self {
        let mut template = Self::new(shape);
        template.field_bytes(FIELD_1_BYTES, shape.log.as_bytes());
        (0..shape.entries).for_each(|entry| template.entry(shape, entry));
        template.receipt(shape.receipt);
        template
    }

    /// The entries of an `AppendStreamRequest.Items`, to follow its sequence.
    pub(crate) fn stream_items(shape: &Shape) -> Self {
        let mut template = Self::new(shape);
        (0..shape.entries).for_each(|entry| template.entry(shape, entry));
        template
    }

    /// One bare entry, the body of `POST /add`.
    pub(crate) fn bare(shape: &Shape) -> Self {
        let mut template = Self::new(shape);
        template.filler(shape.entry_bytes, 0);
        template
    }

    /// A request of items that each have room for an id.
    pub(crate) fn items<'a>(
        items: impl Iterator<Item = &'a Item>,
        framing: &Framing,
        run: [u8; 8],
    ) -> Self {
        let mut template = Self { run, stamp_form: StampForm::Hex, ..Self::empty() };
        template.entries = 0;
        template.bytes.extend_from_slice(&framing.before);
        for item in items {
            if template.entries > 0 {
                template.bytes.extend_from_slice(framing.between);
            }
            template.bytes.extend_from_slice(&item.before_id);
            template.filler(ID_LEN, template.entries);
            template.bytes.extend_from_slice(&item.after_id);
            template.entries += 1;
            template.items_bytes += item.json_bytes;
        }
        template.bytes.extend_from_slice(&framing.after);
        template
    }

    /// A request without entries: an empty message.
    pub(crate) fn empty() -> Self {
        Self {
            bytes: Vec::new(),
            stamps: Vec::new(),
            entries: 1,
            entry_bytes: 0,
            run: [0; 8],
            stamp_form: StampForm::Bytes,
            items_bytes: 0,
        }
    }

    /// Bytes of one request.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Bytes of the items of one request, as JSON.
    pub(crate) fn items_bytes(&self) -> u64 {
        wide(self.items_bytes)
    }

    /// Writes request number `request`; numbers never repeat within a run.
    pub(crate) fn write(&self, request: u64, to: &mut impl BufMut) {
        let mut written = 0;
        for hole in &self.stamps {
            to.put_slice(&self.bytes[written..hole.start]);
            let number = request.wrapping_mul(self.entries).wrapping_add(hole.entry);
            let stamp = stamp(self.run, number);
            match self.stamp_form {
                StampForm::Bytes => to.put_slice(&stamp[STAMP_LEN - hole.len..]),
                StampForm::Hex => to.put_slice(&hex(stamp)),
            }
            written = hole.start + hole.len;
        }
        to.put_slice(&self.bytes[written..]);
    }

    /// The bytes of one entry of request number `request`.
    pub(crate) fn entry_bytes(&self, request: u64, entry: u64) -> Vec<u8> {
        let number = request.wrapping_mul(self.entries).wrapping_add(entry);
        let stamp = stamp(self.run, number);
        let mut bytes = stamp[STAMP_LEN - self.entry_bytes.min(STAMP_LEN)..].to_vec();
        bytes.resize(self.entry_bytes, FILLER);
        bytes
    }

    fn new(shape: &Shape) -> Self {
        let Shape { entries, entry_bytes, run, .. } = *shape;
        Self { entries, entry_bytes, run, ..Self::empty() }
    }

    fn entry(&mut self, shape: &Shape, entry: u64) {
        let mut len = field_len(shape.entry_bytes);
        if shape.dedup {
            len += field_len(STAMP_LEN);
        }
        self.field_header(FIELD_2_BYTES, len);
        self.field_header(FIELD_1_BYTES, shape.entry_bytes);
        self.filler(shape.entry_bytes, entry);
        if shape.dedup {
            self.field_header(FIELD_2_BYTES, STAMP_LEN);
            self.filler(STAMP_LEN, entry);
        }
    }

    fn receipt(&mut self, receipt: Receipt) {
        self.bytes.push(FIELD_3_VARINT);
        let number = u64::try_from(i32::from(receipt)).expect("receipt levels are not negative");
        encode_varint(number, &mut self.bytes);
    }

    /// `len` bytes that start with the stamp of `entry`.
    fn filler(&mut self, len: usize, entry: u64) {
        let start = self.bytes.len();
        let stamp_len = match self.stamp_form {
            StampForm::Bytes => STAMP_LEN,
            StampForm::Hex => ID_LEN,
        };
        self.stamps.push(Hole { start, len: len.min(stamp_len), entry });
        self.bytes.resize(start + len, FILLER);
    }

    fn field_bytes(&mut self, tag: u8, value: &[u8]) {
        self.field_header(tag, value.len());
        self.bytes.extend_from_slice(value);
    }

    fn field_header(&mut self, tag: u8, len: usize) {
        self.bytes.push(tag);
        encode_varint(wide(len), &mut self.bytes);
    }
}

/// An `AppendStreamRequest` that carries `items` with `first_sequence`.
pub(crate) fn stream_request(items: &Template, request: u64, first_sequence: u64) -> Bytes {
    let items_len = 1 + encoded_len_varint(first_sequence) + items.len();
    let mut bytes = Vec::with_capacity(items_len + 8);
    bytes.push(FIELD_2_BYTES);
    encode_varint(wide(items_len), &mut bytes);
    bytes.push(FIELD_1_VARINT);
    encode_varint(first_sequence, &mut bytes);
    items.write(request, &mut bytes);
    bytes.into()
}

fn stamp(run: [u8; 8], number: u64) -> [u8; STAMP_LEN] {
    let mut stamp = [0; STAMP_LEN];
    stamp[..8].copy_from_slice(&run);
    stamp[8..].copy_from_slice(&number.to_be_bytes());
    stamp
}

fn hex(stamp: [u8; STAMP_LEN]) -> [u8; ID_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; ID_LEN];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(stamp) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0xf)];
    }
    digits
}

/// Bytes of a length-delimited field with a one-byte tag.
fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(wide(len)) + len
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).expect("a length in memory fits 64 bits")
}

#[cfg(test)]
mod tests {
    use log_proto::log_v1::append_stream_request::Message;
    use log_proto::log_v1::{AppendBatchRequest, AppendRequest, AppendStreamRequest, Entry};
    use prost::Message as _;

    use super::*;

    fn shape(entries: u64, entry_bytes: usize, dedup: bool) -> Shape {
        let log = "default".into();
        Shape { log, entries, entry_bytes, receipt: Receipt::Signed, dedup, run: *b"run-id-8" }
    }

    fn written(template: &Template, request: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        template.write(request, &mut bytes);
        assert_eq!(bytes.len(), template.len());
        bytes
    }

    fn entry(number: u64, entry_bytes: usize, dedup: bool) -> Entry {
        let stamp = stamp(*b"run-id-8", number);
        let mut data = stamp[STAMP_LEN - entry_bytes.min(STAMP_LEN)..].to_vec();
        data.resize(entry_bytes, b'.');
        let dedup_key = if dedup { stamp.to_vec() } else { Vec::new() };
        Entry { data: data.into(), dedup_key: dedup_key.into() }
    }

    #[test]
    fn templates_are_the_messages_they_stand_for() {
        for (size, dedup) in [(1, false), (15, true), (16, false), (200, true), (65_535, false)] {
            let unary =
                AppendRequest::decode(&*written(&Template::append(&shape(1, size, dedup)), 7));
            let wanted = AppendRequest {
                log: "default".into(),
                entry: Some(entry(7, size, dedup)),
                receipt: Receipt::Signed.into(),
                receipt_wait: None,
            };
            assert_eq!(unary.unwrap(), wanted);

            let template = Template::append_batch(&shape(3, size, dedup));
            let batch = AppendBatchRequest::decode(&*written(&template, 2)).unwrap();
            assert_eq!(batch.log, "default");
            assert_eq!(batch.entries, [6, 7, 8].map(|number| entry(number, size, dedup)));
            assert_eq!(batch.receipt(), Receipt::Signed);
        }
    }

    #[test]
    fn stream_requests_carry_their_sequence() {
        let template = Template::stream_items(&shape(2, 20, false));
        for sequence in [1, 127, 128, u64::MAX] {
            let bytes = stream_request(&template, 5, sequence);
            let Some(Message::Items(items)) = AppendStreamRequest::decode(bytes).unwrap().message
            else {
                panic!("not items");
            };
            assert_eq!(items.first_sequence, sequence);
            assert_eq!(items.entries, [10, 11].map(|number| entry(number, 20, false)));
        }
    }

    #[test]
    fn bare_bodies_are_entries() {
        let template = Template::bare(&shape(1, 200, false));
        assert_eq!(written(&template, 3), entry(3, 200, false).data);
        assert_eq!(template.entry_bytes(3, 0), entry(3, 200, false).data);
    }
}
