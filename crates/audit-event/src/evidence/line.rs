//! One event: a line of `events.ndjson`.
//!
//! ```text
//! {"index":n,"leaf":base64,"blocks":{"core":{"salt":base64,"text":"…"},…,
//!  "raw":{"salt":base64,"base64":"…"}},"withheld":["actor",…],"erased":[…]}
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};
use merkle::{Hash, LeafIndex};

use super::LINE_BYTES_MAX;
use super::fields::{Fields, tag_list};
use crate::blocks::{Tag, Tags};
use crate::commit::{Salt, Shown};
use crate::leaf::{Leaf, LeafError};
use crate::text;
use crate::value::{Object, Value};

pub use super::fields::FormError;

/// Why a line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Its JSON or one of its members.
    #[error(transparent)]
    Form(#[from] FormError),
    /// Its leaf.
    #[error(transparent)]
    Leaf(#[from] LeafError),
}

/// A block that a line shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownBlock {
    /// Which block.
    pub tag: Tag,
    /// Its salt.
    pub salt: Salt,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// One event of an evidence file. **Not verified by being parsed.**
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where the event stands in the log.
    pub index: LeafIndex,
    /// The log's entry.
    pub leaf: Leaf,
    /// The blocks that are shown, in the order of their tags.
    pub blocks: Vec<ShownBlock>,
    /// The blocks that are kept back.
    pub withheld: Tags,
    /// The blocks that are said to be erased.
    pub erased: Tags,
}

impl Line {
    /// Parses a line, with or without the white space that JSON allows around it.
    pub fn parse(bytes: &[u8]) -> Result<Self, LineError> {
        let mut fields = Fields::read(bytes, LINE_BYTES_MAX)?;
        let index = fields.number("index")?;
        let index = LeafIndex::new(index).map_err(|_| fields.form("index", "an index"))?;
        let leaf = Leaf::decode(&fields.base64("leaf")?)?;
        let blocks = read_blocks(fields.object("blocks")?)?;
        let (withheld, erased) = (fields.tags("withheld")?, fields.tags("erased")?);
        fields.finish()?;
        Ok(Self { index, leaf, blocks, withheld, erased })
    }

    /// The line without its end; [`Line::parse`] gives the same line back.
    pub fn write(&self) -> String {
        let mut out = format!("{{\"index\":{},\"leaf\":\"", self.index);
        STANDARD.encode_string(self.leaf.encode(), &mut out);
        out.push_str("\",\"blocks\":{");
        for (position, block) in self.blocks.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            push_block(block, &mut out);
        }
        out.push('}');
        for (name, tags) in [("withheld", self.withheld), ("erased", self.erased)] {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            text::push_value(&tag_list(tags), &mut out);
        }
        out.push('}');
        out
    }

    /// The leaf hash of the log's entry.
    pub fn leaf_hash(&self) -> Hash {
        merkle::leaf_hash(&self.leaf.encode())
    }

    /// The blocks as they are verified.
    pub fn shown(&self) -> Vec<Shown<'_>> {
        let blocks = self.blocks.iter();
        blocks.map(|it| Shown { tag: it.tag, salt: &it.salt, bytes: &it.bytes }).collect()
    }

    /// Which blocks are shown.
    pub fn shown_tags(&self) -> Tags {
        self.blocks.iter().map(|block| block.tag).collect()
    }

    /// Keeps blocks back, `core` never. Where one of the blocks 2 to 6 is kept back, RAW is too, because
    /// it says the same in another form.
    pub fn withhold(&mut self, tags: Tags) {
        let mut wanted = tags.without(Tags::CORE);
        if !wanted.is_empty() {
            wanted.insert(Tag::Raw);
        }
        let kept_back = self.shown_tags().intersection(wanted);
        self.blocks.retain(|block| !kept_back.contains(block.tag));
        self.withheld = self.withheld.union(kept_back);
    }

    /// A shown block.
    pub fn block(&self, tag: Tag) -> Option<&ShownBlock> {
        self.blocks.iter().find(|block| block.tag == tag)
    }
}

fn push_block(block: &ShownBlock, out: &mut String) {
    text::push_text(block.tag.name(), out);
    out.push_str(":{\"salt\":\"");
    STANDARD.encode_string(block.salt.as_bytes(), out);
    match std::str::from_utf8(&block.bytes) {
        Ok(text) if block.tag != Tag::Raw => {
            out.push_str("\",\"text\":");
            text::push_text(text, out);
        }
        _ => {
            out.push_str("\",\"base64\":\"");
            STANDARD.encode_string(&block.bytes, out);
            out.push('"');
        }
    }
    out.push('}');
}

fn read_blocks(mut fields: Fields) -> Result<Vec<ShownBlock>, FormError> {
    let mut blocks = Vec::new();
    for tag in Tag::ALL {
        let mut inner = match fields.object(tag.name()) {
            Ok(inner) => inner,
            Err(FormError::Missing { .. }) => continue,
            Err(error) => return Err(error),
        };
        let salt = <[u8; Salt::LEN]>::try_from(inner.base64("salt")?);
        let salt = Salt::from(salt.map_err(|_| inner.form("salt", "16 bytes in base64"))?);
        let bytes = match tag {
            Tag::Raw => inner.base64("base64")?,
            _ => inner.text("text")?.into_bytes(),
        };
        inner.finish()?;
        blocks.push(ShownBlock { tag, salt, bytes });
    }
    fields.finish()?;
    Ok(blocks)
}

/// The members of a block's text; none if it is not the text of a block.
pub(super) fn members(block: &ShownBlock) -> Option<Object> {
    text::read(&block.bytes).ok()
}

/// A text member of an object.
pub(super) fn text_of<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_text)
}
