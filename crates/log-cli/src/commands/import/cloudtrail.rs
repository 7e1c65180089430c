//! `cairn import cloudtrail`: log files of AWS CloudTrail, verified by their digests where there are any.

mod read;
mod told;

use std::path::{Path, PathBuf};

use audit_event::mapping::cloudtrail::split;
use bytes::Bytes;
use clap::Args;
use evidence_file::words::shown;
use serde::Deserialize;

use self::read::{Given, LogFile};
use self::told::Totals;
use super::{ImportError, given};
use crate::api::{self, Api, ApiError, JSON};
use crate::args::log_name;
use crate::cloudtrail::chain::{self, LogVerdict, Report};
use crate::error::{CliError, Exit};
use crate::files;
use crate::ui::{Ui, complain};

/// Bytes of one call. A log file that is larger is sent in parts, each record as it is.
const PART_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a list of public keys.
const KEYS_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) const AFTER_HELP: &str = "\
Files are what AWS delivers to a bucket: log files and digest files, packed or not, in any order and in
any folder; of a folder those named .json and .json.gz are read. A digest's signature is no part of it
but stands in the metadata of its object: save the answers of `aws s3api head-object`, as a list of
{\"Bucket\", \"Key\", \"Metadata\"}, to a file among the others, or to head-objects.json beside a folder.
The keys are the answer of `aws cloudtrail list-public-keys` for the region: --public-keys, or
public-keys.json beside a folder, which then is believed as it lies there.

Where there are digests, each must be signed, state the hash of the one before, and begin when that one
ends, and each log file must have the hash that its digest states. Hours without a digest, log files that
are missing, and chains that begin anew are named. Each record keeps what became of its file: valid,
invalid, unverified or not_covered. At the end the log itself records what the import came to, as
import.finished. Importing a file again adds nothing.

Exit codes: 0 everything is recorded, and holds; 1 something does not verify, or was quarantined; 2 a file
is cut short or is of another form, and the others were imported; 3 the server could not be reached.

Examples:
  cairn import cloudtrail AWSLogs/ --public-keys public-keys.json
  cairn import cloudtrail AWSLogs/a.json --json";

#[derive(Debug, Args)]
pub(crate) struct CloudtrailArgs {
    /// Files and folders
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// The public keys that digests are signed with; repeatable, a file for each region
    #[arg(long, value_name = "FILE")]
    public_keys: Vec<PathBuf>,
    /// The log
    #[arg(long, value_name = "LOG", default_value = "audit", value_parser = log_name)]
    log: String,
}

/// What the server says of a log file.
#[derive(Deserialize)]
struct Answer {
    taken: u64,
    duplicates: u64,
    quarantined: u64,
}

pub(super) async fn run(args: CloudtrailArgs, api: &Api, ui: &Ui) -> Result<Exit, CliError> {
    let mut given = Given::default();
    for path in &args.public_keys {
        let bytes = files::read(path, KEYS_BYTES_MAX)?;
        if !given.keys.read(&bytes) {
            return Err(ImportError::NotKeys { path: path.clone() }.into());
        }
    }
    let paths = given::files(&args.paths, &[".json", ".json.gz"])?;
    let beside = read::beside(&args.paths);
    let mut progress = ui.progress("reading", "files", count(paths.len()));
    for (path, done) in paths.iter().chain(&beside).zip(1..) {
        given.read(path, args.public_keys.is_empty());
        progress.set(done);
    }
    drop(progress);
    if let Some(path) = &given.keys_beside {
        let path = shown(&path.display().to_string());
        ui.note(format_args!(
            "note: digests are verified under the keys in {path}, as it lies there"
        ));
    }
    let names = given.logs.iter().map(|log| log.name.clone()).collect();
    let mut totals = Totals::new(&given);
    let digests = std::mem::take(&mut given.digests);
    let report = chain::verify(digests, &given.signatures, &given.keys, &names);
    let sent = send_all(api, &args.log, &given.logs, &report, &mut totals, ui).await;
    totals.add_report(&report);
    for (path, why) in &given.unusable {
        complain(format_args!("unusable: {}: {why}", shown(&path.display().to_string())));
    }
    sent?;
    super::finished(api, &args.log, totals.members()).await?;
    totals.tell(&report, ui)?;
    Ok(totals.exit())
}

async fn send_all(
    api: &Api,
    log: &str,
    files: &[LogFile],
    report: &Report,
    totals: &mut Totals,
    ui: &Ui,
) -> Result<(), CliError> {
    let mut progress = ui.progress("importing", "files", count(files.len()));
    for (file, done) in files.iter().zip(1..) {
        let verdict = totals.has_digests().then(|| report.log(&file.name, &file.sha256));
        if let Some(verdict) = verdict {
            totals.add_log(verdict);
            tell_log(&file.path, verdict);
        }
        match send(api, log, file, verdict, totals).await {
            Ok(()) => {}
            Err(Unsent::File(why)) => {
                let path = shown(&file.path.display().to_string());
                complain(format_args!("unusable: {path}: {why}"));
                totals.unusable += 1;
            }
            Err(Unsent::Api(error)) => return Err(error.into()),
        }
        progress.set(done);
    }
    Ok(())
}

fn tell_log(path: &Path, verdict: LogVerdict) {
    let why = match verdict {
        LogVerdict::Valid => return,
        LogVerdict::Invalid => "its digest states another hash",
        LogVerdict::Unverified => "its digest does not hold, or could not be verified",
        LogVerdict::NotCovered => "it is not covered by any digest",
    };
    complain(format_args!("not verified: {}: {why}", shown(&path.display().to_string())));
}

/// Why a file was not sent to its end.
enum Unsent {
    /// The file is at fault; the others may go.
    File(String),
    Api(ApiError),
}

impl From<ApiError> for Unsent {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Refused { status, message, .. } if matches!(status.as_u16(), 400 | 413) => {
                Self::File(message)
            }
            error => Self::Api(error),
        }
    }
}

async fn send(
    api: &Api,
    log: &str,
    file: &LogFile,
    verdict: Option<LogVerdict>,
    totals: &mut Totals,
) -> Result<(), Unsent> {
    let bytes = given::unpacked(&file.path).map_err(|error| Unsent::File(error.to_string()))?;
    if !file.is_same(&bytes) {
        return Err(Unsent::File("it changed while it was imported".to_owned()));
    }
    let verdict = verdict.map(|verdict| ("digest", verdict.word()));
    let path = api::with_query("/v1/cloudtrail", [("log", log)].into_iter().chain(verdict));
    for part in parts(bytes).map_err(Unsent::File)? {
        let body = api::done(api.post(&path, JSON, part).await?)?;
        let answer = api::document(&body, "it does not say what became of the records")?;
        let Answer { taken, duplicates, quarantined } = answer;
        totals.events += taken;
        totals.duplicates += duplicates;
        totals.quarantined += quarantined;
    }
    Ok(())
}

/// The bodies that a log file is sent in: as it is, or cut between records.
fn parts(bytes: Vec<u8>) -> Result<Vec<Bytes>, String> {
    if bytes.len() <= PART_BYTES_MAX {
        return Ok(vec![bytes.into()]);
    }
    let records = split(&bytes).map_err(|error| error.to_string())?;
    let (mut parts, mut part) = (Vec::new(), Vec::new());
    for record in records {
        if !part.is_empty() && part.len() + record.len() > PART_BYTES_MAX {
            parts.push(ended(std::mem::take(&mut part)));
        }
        part.extend_from_slice(if part.is_empty() { b"{\"Records\":[" } else { b"," });
        part.extend_from_slice(record);
    }
    if !part.is_empty() {
        parts.push(ended(part));
    }
    Ok(parts)
}

fn ended(mut part: Vec<u8>) -> Bytes {
    part.extend_from_slice(b"]}");
    part.into()
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_sent_in_parts_of_whole_records() {
        let record = |at: usize| format!("{{\"at\":{at},\"x\":\"{}\"}}", "y".repeat(1_000_000));
        let records: Vec<String> = (0..20).map(record).collect();
        let file = format!("{{\"Records\":[{}]}}", records.join(", ")).into_bytes();
        let parts = parts(file).unwrap();
        assert!(parts.len() > 2 && parts.iter().all(|it| it.len() < PART_BYTES_MAX + 100));
        let again: Vec<String> = parts
            .iter()
            .flat_map(|part| split(part).unwrap())
            .map(|record| String::from_utf8(record.to_vec()).unwrap())
            .collect();
        assert_eq!(again, records);
        let small = b"not json".to_vec();
        assert_eq!(super::parts(small.clone()).unwrap(), [Bytes::from(small)]);
    }
}
