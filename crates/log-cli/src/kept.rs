//! One event as it stands in a log: fetched, shown with its receipt, verified, kept in files.

use std::path::Path;

use audit_event::evidence::{Line, Status, verify_event};
use audit_event::{Tag, Tags};
use base::error::chain;
use bytes::Bytes;
use evidence_file::words::shown;
use formats::trust::Trust;
use serde_json::{Map, Value};

use crate::api::{self, Api, ApiError};
use crate::error::CliError;
use crate::files;

/// The members of the server's answer that are a line of `events.ndjson`.
const LINE_MEMBERS: [&str; 5] = ["index", "leaf", "blocks", "withheld", "erased"];

/// An event that the server gave. **Not verified.**
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) line: Line,
    /// The members of the blocks that are shown.
    pub(crate) event: Value,
    pub(crate) sentence: String,
    /// Blocks that are there and are not what the log committed to, or that are lost.
    pub(crate) damaged: Tags,
}

impl Fetched {
    /// An event of a log.
    pub(crate) async fn of(api: &Api, log: &str, index: u64) -> Result<Self, ApiError> {
        let body = api.get(&path(log, index, "")).await?;
        let fetched = Self::parse(&body)?;
        let is_other = fetched.line.index.get() != index;
        if is_other {
            Err(ApiError::BadAnswer { what: "it is another event" })
        } else {
            Ok(fetched)
        }
    }

    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let bad = || ApiError::BadAnswer { what: "it is not an event with its blocks" };
        let mut members: Map<String, Value> = api::document(body, "it is not an object")?;
        let line = LINE_MEMBERS.iter().map(|name| members.remove_entry(*name));
        let line = line.collect::<Option<Map<_, _>>>().ok_or_else(bad)?;
        let line = Line::parse(Value::Object(line).to_string().as_bytes()).map_err(|_| bad())?;
        let sentence = members.get("sentence").and_then(Value::as_str).unwrap_or_default();
        let damaged = members.get("damaged").and_then(Value::as_array);
        let damaged = damaged.into_iter().flatten().filter_map(Value::as_str);
        Ok(Self {
            sentence: sentence.to_owned(),
            damaged: damaged.filter_map(Tag::from_name).collect(),
            event: members.remove("event").unwrap_or_default(),
            line,
        })
    }

    /// Its line of `events.ndjson`, with its end.
    pub(crate) fn text(&self) -> String {
        self.line.write() + "\n"
    }

    /// Writes the event and its receipt, none of which may be there before.
    pub(crate) fn write(&self, folder: &Path, receipt: &[u8]) -> Result<(), CliError> {
        files::create_folder(folder)?;
        let index = self.line.index;
        let receipt_path = folder.join(format!("{index}.tlog-proof"));
        files::create(&receipt_path, receipt, 0o644)?;
        // What the event says may be personal, so that only its owner reads the file.
        files::create(&folder.join(format!("{index}.event.json")), self.text().as_bytes(), 0o600)
    }

    /// Why event and receipt do not hold for somebody who believes `trust` alone; `None` if they hold.
    pub(crate) fn refused(&self, receipt: &[u8], trust: &Trust) -> Option<String> {
        let (report, _) = verify_event(self.text().as_bytes(), receipt, trust);
        let status = report.status();
        let first = report.findings.iter().find(|finding| finding.status() == status);
        match status {
            Status::Holds => None,
            Status::DoesNotHold | Status::Unusable => {
                Some(first.map_or_else(String::new, |finding| shown(&chain(finding))))
            }
        }
    }
}

/// The receipt of an event, against the newest head that the log has signed.
pub(crate) async fn receipt(api: &Api, log: &str, index: u64) -> Result<Bytes, ApiError> {
    api.get(&path(log, index, "/receipt")).await
}

fn path(log: &str, index: u64, rest: &str) -> String {
    format!("/v1/logs/{}/events/{index}{rest}", api::segment(log))
}
