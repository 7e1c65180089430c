//! `manifest.json`: what an evidence file holds, and what its maker says of it.

use std::collections::BTreeMap;
use std::ops::Range;

use merkle::TreeSize;

use super::fields::{Fields, FormError, tag_list};
use super::filter::Filter;
use super::{EVENTS_MAX, EVENTS_PER_PROOF, FILES_MAX, MANIFEST_BYTES_MAX};
use crate::blocks::Tags;
use crate::hex;
use crate::path::Path;
use crate::text;
use crate::value::{Object, Value};

const FORMAT: &str = "cairn-evidence@v1";

/// Files that every evidence file has beside its proofs and the manifest.
pub const REQUIRED: [&str; 6] =
    ["READ ME FIRST.txt", "checkpoint", "events.ndjson", "keys.txt", "policy.txt", "verify.html"];

/// Files that it may have: views made of `events.ndjson` alone.
pub const VIEWS: [&str; 3] = ["events.csv", "events.json", "events.parquet"];

/// The manifest's own name.
pub const NAME: &str = "manifest.json";

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Its JSON or one of its members.
    #[error("the manifest cannot be used")]
    Form(#[from] FormError),
    /// A file that has no place in an evidence file.
    #[error("the manifest lists a file that does not belong there: {name:?}")]
    Unexpected {
        /// Its name.
        name: String,
    },
    /// A file that every evidence file with so many events has.
    #[error("the file {name:?} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A file that the manifest does not list.
    #[error("the file {name:?} is not in the manifest")]
    Unlisted {
        /// Its name.
        name: String,
    },
}

/// What a manifest says of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFact {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// A manifest. All texts are statements of who made the file; nothing proves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The log's name at its server.
    pub log: String,
    /// The log's origin.
    pub origin: String,
    /// The size of the tree that all proofs lead to.
    pub tree_size: TreeSize,
    /// When the file was made.
    pub made_at: String,
    /// Who made it.
    pub made_by: String,
    /// What for.
    pub purpose: String,
    /// Which events were asked for.
    pub filter: Filter,
    /// The same in words.
    pub filter_text: String,
    /// The zone of the times in `filter_text`.
    pub time_zone: String,
    /// How many lines there are.
    pub events: u64,
    /// The indexes of which every one has its line, if the file says that nothing was left out.
    pub complete: Option<Range<u64>>,
    /// The blocks that no line shows.
    pub withheld: Tags,
    /// Every other file.
    pub files: BTreeMap<String, FileFact>,
}

impl Manifest {
    /// Parses a manifest and checks that it lists exactly the files it must.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut fields = Fields::read(bytes, MANIFEST_BYTES_MAX)?;
        if fields.text("format")? != FORMAT {
            return Err(fields.form("format", FORMAT).into());
        }
        let manifest = Self {
            log: fields.text("log")?,
            origin: fields.text("origin")?,
            tree_size: tree_size(&mut fields)?,
            made_at: fields.text("made_at")?,
            made_by: fields.text("made_by")?,
            purpose: fields.text("purpose")?,
            filter: Filter::read(fields.value("filter")?)?,
            filter_text: fields.text("filter_text")?,
            time_zone: fields.text("time_zone")?,
            events: events(&mut fields)?,
            complete: complete(&mut fields)?,
            withheld: fields.tags("withheld")?,
            files: files(fields.object("files")?)?,
        };
        fields.finish()?;
        manifest.check_listed()?;
        Ok(manifest)
    }

    /// The manifest's bytes; [`Manifest::parse`] gives the same manifest back.
    pub fn write(&self) -> String {
        let size = |size: u64| format!("{size}");
        let complete = self.complete.as_ref().map_or_else(
            || "null".to_owned(),
            |range| format!("{{\"start\":{},\"end\":{}}}", range.start, range.end),
        );
        let file = |(name, fact): (&String, &FileFact)| {
            let name = text::write_value(&Value::from(&**name));
            let sha256 = hex::encode(&fact.sha256);
            format!("{name}:{{\"bytes\":{},\"sha256\":\"{sha256}\"}}", fact.bytes)
        };
        let files: Vec<String> = self.files.iter().map(file).collect();
        let quoted = |it: &str| text::write_value(&Value::from(it));
        let members = [
            ("format", quoted(FORMAT)),
            ("log", quoted(&self.log)),
            ("origin", quoted(&self.origin)),
            ("tree_size", size(self.tree_size.get())),
            ("made_at", quoted(&self.made_at)),
            ("made_by", quoted(&self.made_by)),
            ("purpose", quoted(&self.purpose)),
            ("filter", text::write(&self.filter.to_object())),
            ("filter_text", quoted(&self.filter_text)),
            ("time_zone", quoted(&self.time_zone)),
            ("events", size(self.events)),
            ("complete", complete),
            ("withheld", text::write_value(&tag_list(self.withheld))),
            ("files", format!("{{{}}}", files.join(","))),
        ];
        let members = members.map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}\n", members.join(","))
    }

    /// How many proofs there are.
    pub fn proofs(&self) -> u64 {
        self.events.div_ceil(EVENTS_PER_PROOF)
    }

    /// Checks the names of the files that are there against those listed.
    pub fn check_present<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), ManifestError> {
        let mut missing: Vec<&str> = self.files.keys().map(|name| &**name).collect();
        for name in names.into_iter().filter(|name| *name != NAME) {
            match missing.binary_search(&name) {
                Ok(at) => drop(missing.remove(at)),
                Err(_) => return Err(ManifestError::Unlisted { name: name.to_owned() }),
            }
        }
        let first = missing.first().map(|name| (*name).to_owned());
        first.map_or(Ok(()), |name| Err(ManifestError::Missing { name }))
    }

    /// Exactly the required files and proofs, and of the others views alone.
    fn check_listed(&self) -> Result<(), ManifestError> {
        let proofs = (1..=self.proofs()).map(proof_name);
        let required = REQUIRED.map(str::to_owned).into_iter().chain(proofs);
        let mut extra = self.files.clone();
        for name in required {
            extra.remove(&name).ok_or(ManifestError::Missing { name })?;
        }
        let unexpected = extra.into_keys().find(|name| !VIEWS.contains(&&**name));
        unexpected.map_or(Ok(()), |name| Err(ManifestError::Unexpected { name }))
    }
}

/// The name of a proof, from 1.
pub fn proof_name(number: u64) -> String {
    format!("proofs/{number:06}.txt")
}

fn tree_size(fields: &mut Fields) -> Result<TreeSize, FormError> {
    let size = fields.number("tree_size")?;
    TreeSize::new(size).map_err(|_| fields.form("tree_size", "a tree size"))
}

fn events(fields: &mut Fields) -> Result<u64, FormError> {
    let events = fields.number("events")?;
    if events > EVENTS_MAX {
        return Err(FormError::TooMany { path: fields.path("events"), max: EVENTS_MAX });
    }
    Ok(events)
}

fn complete(fields: &mut Fields) -> Result<Option<Range<u64>>, FormError> {
    let path = fields.path("complete");
    match fields.value("complete")? {
        Value::Null => Ok(None),
        value => {
            let mut inner = Fields::of(path.clone(), value)?;
            let range = inner.number("start")?..inner.number("end")?;
            inner.finish()?;
            if range.start > range.end {
                return Err(FormError::Form { path, expected: "a range that ends where it can" });
            }
            Ok(Some(range))
        }
    }
}

fn files(fields: Fields) -> Result<BTreeMap<String, FileFact>, FormError> {
    let listed: Object = fields.into_rest();
    let path = Path::of("files");
    if listed.len() >= FILES_MAX {
        let max = u64::try_from(FILES_MAX).unwrap_or(u64::MAX);
        return Err(FormError::TooMany { path, max });
    }
    let fact = |(name, value): (String, Value)| {
        let mut inner = Fields::of(path.member(&name), value)?;
        let bytes = inner.number("bytes")?;
        let sha256 = hex::decode_32(&inner.text("sha256")?);
        let sha256 = sha256.ok_or_else(|| inner.form("sha256", "64 lower-case digits"))?;
        inner.finish()?;
        Ok((name, FileFact { bytes, sha256 }))
    };
    listed.into_iter().map(fact).collect()
}
