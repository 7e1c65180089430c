//! One export: what was asked for, and how far it is. Kept in a file beside what it makes, so that a
//! restart goes on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use audit_event::evidence::view::Separator;
use audit_event::json::{self, Numbers};
use audit_event::text;
use audit_event::value::Object;
use audit_event::{Tag, Tags, Value};
use audit_index::{Query, QueryError};
use base::durable::{self, FileError};
use evidence_file::write::Csv;

use crate::shown::{number, object};

/// Bytes of a purpose.
const PURPOSE_BYTES_MAX: usize = 1_024;

/// A table made of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// `events.csv`.
    Csv,
    /// `events.json`.
    Json,
    /// `events.parquet`.
    Parquet,
}

impl View {
    const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The query's parameters, as they were stated. They make a query.
    pub filter: Vec<(String, String)>,
    /// The views that the file has beside the events.
    pub views: BTreeSet<View>,
    /// Blocks that no line shows.
    pub withhold: Tags,
    /// Whether the file shows that nothing was left out.
    pub complete: bool,
    /// Whether the archive is compressed.
    pub deflate: bool,
    /// What for.
    pub purpose: String,
}

/// Why an export cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or not an object.
    #[error("body must be one JSON object")]
    Json,
    /// A member that is unknown, or of another form.
    #[error("{name} must be {expected}")]
    Member {
        /// Its name.
        name: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The filter.
    #[error(transparent)]
    Filter(#[from] QueryError),
}

fn bad(name: &str, expected: &'static str) -> RequestError {
    RequestError::Member { name: name.to_owned(), expected }
}

impl Request {
    /// Reads a request: `filter`, `formats`, `withhold`, `complete`, `deflate`, `purpose`, each optional.
    pub fn read(body: &[u8]) -> Result<Self, RequestError> {
        let value = json::read_value(body, Numbers::Own).map_err(|_| RequestError::Json)?;
        let Value::Object(members) = value else { return Err(RequestError::Json) };
        let mut request = Self::default();
        for (name, value) in members {
            request.take(&name, value)?;
        }
        request.query()?;
        Ok(request)
    }

    /// A request of parts that are typed already.
    pub fn of_parts(
        filter: Vec<(String, String)>,
        formats: &[String],
        withhold: &[String],
        complete: bool,
        deflate: bool,
        purpose: String,
    ) -> Result<Self, RequestError> {
        let texts = |texts: &[String]| {
            Value::List(texts.iter().map(|text| Value::from(text.as_str())).collect())
        };
        let mut request = Self { filter, ..Self::default() };
        for (name, value) in [
            ("formats", texts(formats)),
            ("withhold", texts(withhold)),
            ("complete", Value::Bool(complete)),
            ("deflate", Value::Bool(deflate)),
            ("purpose", Value::Text(purpose)),
        ] {
            request.take(name, value)?;
        }
        request.query()?;
        Ok(request)
    }

    fn take(&mut self, name: &str, value: Value) -> Result<(), RequestError> {
        match (name, value) {
            ("filter", Value::Object(members)) => self.filter = pairs(members)?,
            ("formats", Value::List(names)) => {
                for name in names {
                    match name.as_text() {
                        Some("csv") => drop(self.views.insert(View::Csv)),
                        Some("json") => drop(self.views.insert(View::Json)),
                        Some("parquet") => drop(self.views.insert(View::Parquet)),
                        // The events themselves are always there.
                        Some("ndjson") => {}
                        _ => return Err(bad("formats", "a list of csv, json, ndjson and parquet")),
                    }
                }
            }
            ("withhold", Value::List(names)) => {
                for name in names {
                    let tag = name.as_text().and_then(Tag::from_name);
                    match tag.filter(|tag| *tag != Tag::Core) {
                        Some(tag) => drop(self.withhold.insert(tag)),
                        None => {
                            return Err(bad("withhold", "a list of blocks; core is always shown"));
                        }
                    }
                }
                // RAW says what the other blocks say in another form.
                if !self.withhold.is_empty() {
                    self.withhold.insert(Tag::Raw);
                }
            }
            ("complete", Value::Bool(complete)) => self.complete = complete,
            ("deflate", Value::Bool(deflate)) => self.deflate = deflate,
            ("purpose", Value::Text(purpose)) if purpose.len() <= PURPOSE_BYTES_MAX => {
                self.purpose = purpose;
            }
            ("filter", _) => return Err(bad(name, "an object of the query's members")),
            ("formats" | "withhold", _) => return Err(bad(name, "a list of names")),
            ("complete" | "deflate", _) => return Err(bad(name, "true or false")),
            ("purpose", _) => return Err(bad(name, "a text of at most 1,024 bytes")),
            _ => return Err(bad(name, "left out: no such member is known")),
        }
        Ok(())
    }

    /// What is asked of the log.
    pub fn query(&self) -> Result<Query, QueryError> {
        Query::parse(self.filter.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The filter in words: its members as they were stated.
    pub fn in_words(&self) -> String {
        if self.filter.is_empty() {
            return "all events".to_owned();
        }
        let hides = self.withhold.contains(Tag::Actor) || self.withhold.contains(Tag::Origin);
        let member = |(name, value): &(String, String)| match name.as_str() {
            "actor" | "ip" | "text" if hides => format!("{name} is (withheld)"),
            "from" => format!("from {value}"),
            "to" => format!("to before {value}"),
            _ => format!("{name} is {value}"),
        };
        self.filter.iter().map(member).collect::<Vec<_>>().join("; ")
    }

    fn to_value(&self) -> Value {
        let mut filter: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (name, value) in &self.filter {
            filter.entry(name).or_default().push(Value::from(value.as_str()));
        }
        let filter =
            filter.into_iter().map(|(name, values)| (name.to_owned(), Value::List(values)));
        let formats = self.views.iter().map(|view| Value::from(view.name())).collect();
        let withhold = self.withhold.iter().map(|tag| Value::from(tag.name())).collect();
        Value::Object(object([
            ("filter", Value::Object(filter.collect())),
            ("formats", Value::List(formats)),
            ("withhold", Value::List(withhold)),
            ("complete", Value::Bool(self.complete)),
            ("deflate", Value::Bool(self.deflate)),
            ("purpose", Value::from(self.purpose.as_str())),
        ]))
    }

    /// How `events.csv` is written, if it is wanted.
    pub fn csv(&self) -> Option<Csv> {
        let csv = Csv { separator: Separator::Comma, mark: false };
        self.views.contains(&View::Csv).then_some(csv)
    }
}

/// A filter's members as parameters, each a text or a list of texts.
fn pairs(members: Object) -> Result<Vec<(String, String)>, RequestError> {
    let mut pairs = Vec::new();
    for (name, value) in members {
        let expected = "a text or a list of texts";
        match value {
            Value::Text(text) => pairs.push((name, text)),
            Value::List(values) => {
                for value in values {
                    let text = value.as_text().ok_or_else(|| bad(&name, expected))?;
                    pairs.push((name.clone(), text.to_owned()));
                }
            }
            _ => return Err(bad(&name, expected)),
        }
    }
    Ok(pairs)
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Others come first.
    Waiting,
    /// It is being made.
    Running,
    /// It can be downloaded.
    Done,
    /// It could not be made.
    Failed,
    /// It is gone, because something in it was erased.
    Withdrawn,
}

impl State {
    const ALL: [Self; 5] =
        [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Withdrawn];

    /// As answers spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// An export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id: nobody guesses it.
    pub id: String,
    /// The log's name.
    pub log: String,
    /// Who asked for it.
    pub made_by: String,
    /// What was asked for.
    pub request: Request,
    /// When it was asked for, in milliseconds since the Unix epoch; its days count from here.
    pub asked_ms: u64,
    /// How far it is.
    pub state: State,
    /// Events written.
    pub done: u64,
    /// Events to write, if it is known.
    pub total: u64,
    /// Bytes of the archive.
    pub bytes: u64,
    /// Events of the log that the file is about.
    pub tree_size: u64,
    /// Why it failed, for a person.
    pub error: Option<String>,
}

/// The file in an export's folder that says what it is.
const JOB: &str = "job.json";

/// The archive in an export's folder.
pub(super) const ARCHIVE: &str = "evidence.zip";

impl Job {
    /// What an answer says of it.
    pub fn shown(&self) -> Object {
        object([
            ("state", Value::from(self.state.name())),
            ("done", number(self.done)),
            ("total", number(self.total)),
            ("bytes", number(self.bytes)),
            ("error", self.error.as_deref().map_or(Value::Null, Value::from)),
            ("url", Value::Text(self.url())),
        ])
    }

    /// Where its state is asked for.
    pub fn url(&self) -> String {
        format!("/v1/logs/{}/exports/{}", self.log, self.id)
    }

    /// Writes it into its folder.
    pub(super) fn store(&self, folder: &Path) -> Result<(), FileError> {
        let mut members = self.shown();
        members.extend(object([
            ("id", Value::from(self.id.as_str())),
            ("log", Value::from(self.log.as_str())),
            ("made_by", Value::from(self.made_by.as_str())),
            ("request", self.request.to_value()),
            ("asked_ms", number(self.asked_ms)),
            ("tree_size", number(self.tree_size)),
        ]));
        durable::replace(&folder.join(JOB), text::write(&members).as_bytes(), 0o600)
    }

    /// Reads it from its folder; `None` if there is none that this version reads.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        let bytes = std::fs::read(folder.join(JOB)).ok()?;
        let members = text::read(&bytes).ok()?;
        let text = |name: &str| members.get(name)?.as_text().map(str::to_owned);
        let count = |name: &str| match members.get(name)? {
            Value::Integer(integer) => u64::try_from(integer.get()).ok(),
            _ => None,
        };
        let state = text("state")?;
        Some(Self {
            id: text("id")?,
            log: text("log")?,
            made_by: text("made_by")?,
            request: Request::read(text::write_value(members.get("request")?).as_bytes()).ok()?,
            asked_ms: count("asked_ms")?,
            state: State::ALL.into_iter().find(|known| known.name() == state)?,
            done: count("done")?,
            total: count("total")?,
            bytes: count("bytes")?,
            tree_size: count("tree_size")?,
            error: text("error"),
        })
    }

    /// Where the archive is.
    pub(super) fn archive(&self, root: &Path) -> PathBuf {
        root.join(&self.id).join(ARCHIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_strictly() {
        let body =
            br#"{"filter":{"actor":["a","b"],"from":"2026-01-01"},"formats":["csv","ndjson"],
            "withhold":["actor"],"complete":true,"deflate":true,"purpose":"audit"}"#;
        let request = Request::read(body).unwrap();
        assert!(request.views == [View::Csv].into() && request.complete && request.deflate);
        assert!(request.withhold.contains(Tag::Raw), "RAW says who did it too");
        assert_eq!(request.in_words(), "actor is (withheld); actor is (withheld); from 2026-01-01");
        assert_eq!(Request::read(b"{}").unwrap().in_words(), "all events");
        for (body, refused) in [
            ("[]", "body must be one JSON object"),
            ("{", "body must be one JSON object"),
            (r#"{"shape":1}"#, "shape must be left out: no such member is known"),
            (r#"{"formats":["xml"]}"#, "formats must be a list of csv, json, ndjson and parquet"),
            (r#"{"withhold":["core"]}"#, "withhold must be a list of blocks; core is always shown"),
            (r#"{"complete":"yes"}"#, "complete must be true or false"),
            (r#"{"filter":{"actor":7}}"#, "actor must be a text or a list of texts"),
            (r#"{"filter":{"shoe":"7"}}"#, "shoe is not a parameter of a search"),
        ] {
            assert_eq!(Request::read(body.as_bytes()).unwrap_err().to_string(), refused, "{body}");
        }
    }

    #[test]
    fn a_job_comes_back_from_its_file() {
        let dir = std::env::temp_dir().join(format!("cairn-job-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut job = Job {
            id: "abc".to_owned(),
            log: "audit".to_owned(),
            made_by: "anonymous".to_owned(),
            request: Request::read(br#"{"filter":{"action":"a.b"},"formats":["parquet"]}"#)
                .unwrap(),
            asked_ms: 7,
            state: State::Running,
            done: 1,
            total: 2,
            bytes: 3,
            tree_size: 4,
            error: Some("why".to_owned()),
        };
        job.store(&dir).unwrap();
        assert_eq!(Job::load(&dir), Some(job.clone()));
        (job.error, job.state) = (None, State::Done);
        job.store(&dir).unwrap();
        assert_eq!(Job::load(&dir), Some(job));
        durable::replace(&dir.join(JOB), b"{}", 0o600).unwrap();
        assert_eq!(Job::load(&dir), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
