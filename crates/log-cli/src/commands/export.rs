//! `cairn export`: an evidence file of an audit log, made by the server and brought here.

mod download;
mod unpack;

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use audit_event::evidence::{MANIFEST_BYTES_MAX, Manifest};
use base::clock::machine::{self, sleep};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use evidence_file::words::shown;
use evidence_file::zip::{Zip, ZipReadError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::Read as _;

use crate::api::{self, Api, ApiError, JSON};
use crate::args::Server;
use crate::cloudtrail::to_hex;
use crate::error::{CliError, Exit};
use crate::filters::Filters;
use crate::ui::{Ui, counted};

/// Pauses between looks at how far the server is.
const LOOK_FIRST: Duration = Duration::from_millis(100);
const LOOK_LONGEST: Duration = Duration::from_secs(2);

const AFTER_HELP: &str = "\
The server makes an evidence file of the events that match and signs nothing new for it: it holds the
exact texts that the log committed to, a signed checkpoint, and proofs from each event to it. It is
brought here whole: a connection that breaks is made again and goes on where it stopped, and what is
interrupted leaves nothing. FILE.zip stays an archive; any other name is a folder with its files.

Verify it offline, with the log's key from your own records: `cairn verify-export`.

--complete shows that nothing in the range was left out: strangers then see of every event in it when
it happened, what it was and how it ended, also of those that do not match. It asks before, or takes
--yes for the answer.

Exit codes: 0 made and brought here; 1 the server refused to make it, or --complete was not confirmed;
2 a filter has a bad value, or the file is there already; 3 the server could not be reached, or failed.

Examples:
  cairn export audit --from 2026-01-01 --to 2026-04-01 --format csv --purpose audit --out q1.zip
  cairn export audit --action invoice.deleted --withhold actor,origin --out deleted
  cairn export audit --from 2026-03-01 --complete --yes --format parquet --out march.zip --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ExportArgs {
    /// The log
    log: String,
    #[command(flatten)]
    filters: Filters,
    /// Tables beside the events; several with commas
    #[arg(long = "format", value_enum, value_name = "FORMAT", value_delimiter = ',')]
    formats: Vec<Format>,
    /// Blocks that no event shows: actor, origin, target, changes, detail, raw; several with commas
    #[arg(long, value_name = "BLOCK", value_delimiter = ',')]
    withhold: Vec<String>,
    /// Have a line for every event of the range, so that nothing can be left out unseen
    #[arg(long)]
    complete: bool,
    /// Confirm --complete without being asked
    #[arg(long, requires = "complete")]
    yes: bool,
    /// Pack the archive more tightly, which takes longer
    #[arg(long)]
    deflate: bool,
    /// What it is made for; it stands in the file
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    purpose: String,
    /// FILE.zip, or a folder
    #[arg(long, value_name = "FILE.zip|DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
    /// Always there: the events themselves
    Ndjson,
    Parquet,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }
}

/// Why there is no evidence file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error(
        "a complete file shows strangers the core of every event in its range, and nobody said yes"
    )]
    Unconfirmed,
    #[error("the server refused to make the file: {why}")]
    Refused { why: String },
    #[error("the server could not make the file: {why}")]
    Failed { why: String },
    #[error("what the server sent is not an evidence file")]
    NotAnArchive { source: ZipReadError },
    #[error("what the server sent is not an evidence file")]
    NoManifest,
    #[error("interrupted")]
    Interrupted,
}

impl ExportError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unconfirmed | Self::Refused { .. } => Exit::No,
            Self::Failed { .. }
            | Self::NotAnArchive { .. }
            | Self::NoManifest
            | Self::Interrupted => Exit::Failed,
        }
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unconfirmed => Some("pass --yes, or leave --complete out"),
            Self::Refused { .. } => Some("change what is asked for as the message says"),
            Self::Failed { .. } => Some("ask again, or look at the server's log"),
            Self::NotAnArchive { .. } | Self::NoManifest => {
                Some("check that client and server are of one version")
            }
            Self::Interrupted => None,
        }
    }
}

/// Where the server says that the file is.
#[derive(Deserialize)]
struct Asked {
    url: String,
}

/// How far the server is.
#[derive(Deserialize)]
struct Look {
    state: String,
    #[serde(default)]
    done: u64,
    #[serde(default)]
    total: Option<u64>,
    #[serde(default)]
    error: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Exported<'a> {
    file: String,
    events: u64,
    bytes: u64,
    manifest_sha256: &'a str,
    rows_per_s: u64,
}

pub(crate) async fn run(args: ExportArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    if args.out.symlink_metadata().is_ok() {
        return Err(CliError::Exists { path: args.out });
    }
    if args.complete && !args.yes && !confirmed(ui)? {
        return Err(ExportError::Unconfirmed.into());
    }
    let api = Api::new(server)?;
    let mut url = None;
    let exported = tokio::select! {
        exported = export(&api, &args, &mut url, ui) => exported,
        // What was brought here is removed when it is dropped.
        _ = tokio::signal::ctrl_c() => Err(ExportError::Interrupted.into()),
    };
    if let (Err(CliError::Export(ExportError::Interrupted)), Some(url)) = (&exported, &url) {
        // If this fails the server removes the file when its time has come.
        let _left = api.delete(url).await;
    }
    exported.map(|()| Exit::Done)
}

/// Asks whoever sits at the terminal.
fn confirmed(ui: &Ui) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    ui.note("A complete file shows strangers the core of every event in its range. Make it? [y/N]");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|source| CliError::Read { path: "stdin".into(), source })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn export(
    api: &Api,
    args: &ExportArgs,
    url: &mut Option<String>,
    ui: &Ui,
) -> Result<(), CliError> {
    let started = machine::now();
    let path = url.insert(ask(api, args).await?).clone();
    wait(api, &path, ui).await?;
    let file = download::download(api, &path, &args.out, ui).await?;
    let (bytes, manifest) = (file.bytes, manifest_of(&file)?);
    let is_archive = args.out.extension().is_some_and(|it| it.eq_ignore_ascii_case("zip"));
    if is_archive {
        file.keep(&args.out)?;
    } else {
        unpack::unpack(&file, &args.out)?;
    }
    let (parsed, sha256) = manifest;
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    let exported = Exported {
        file: args.out.display().to_string(),
        events: parsed.events,
        bytes,
        manifest_sha256: &sha256,
        rows_per_s: parsed.events.saturating_mul(1_000) / millis,
    };
    let events = counted(parsed.events, "event", "events");
    let plain = format!(
        "{}: {events}, {bytes} bytes, manifest {sha256}",
        shown(&args.out.display().to_string())
    );
    ui.result(plain, &exported)
}

/// Asks for the file. The address of what the server makes is one of its own.
async fn ask(api: &Api, args: &ExportArgs) -> Result<String, CliError> {
    let formats: Vec<&str> = args.formats.iter().map(|format| format.name()).collect();
    let body = json!({
        "filter": args.filters.object(),
        "formats": formats,
        "withhold": args.withhold,
        "complete": args.complete,
        "deflate": args.deflate,
        "purpose": args.purpose,
    });
    let path = format!("/v1/logs/{}/exports", api::segment(&args.log));
    let answer = api.post(&path, JSON, Bytes::from(body.to_string())).await?;
    let body = api::done(answer)?;
    let Asked { url } = api::document(&body, "it does not say where the file will be")?;
    Ok(api.own_path(&url)?)
}

/// Waits until the file is made.
async fn wait(api: &Api, path: &str, ui: &Ui) -> Result<(), CliError> {
    let mut progress = ui.progress("exporting", "events", 0);
    let mut pause = LOOK_FIRST;
    loop {
        let body = api.get(path).await?;
        let Look { state, done, total, error } =
            api::document(&body, "it does not say how far the file is")?;
        let why = || shown(error.as_deref().unwrap_or("it does not say why"));
        match state.as_str() {
            "done" => return Ok(()),
            "refused" => return Err(ExportError::Refused { why: why() }.into()),
            "failed" => return Err(ExportError::Failed { why: why() }.into()),
            "withdrawn" => {
                let why = "it was withdrawn".to_owned();
                return Err(ExportError::Failed { why }.into());
            }
            "waiting" | "running" => {}
            _ => return Err(ApiError::BadAnswer { what: "it states no state" }.into()),
        }
        progress.set_total(total.unwrap_or(0));
        progress.set(done);
        sleep(pause).await;
        pause = (pause * 2).min(LOOK_LONGEST);
    }
}

/// The manifest of an archive, and the hash by which an audit trail names the file.
fn manifest_of(file: &download::Downloaded) -> Result<(Manifest, String), CliError> {
    let zip = Zip::open(file.reopen()?).map_err(|source| ExportError::NotAnArchive { source })?;
    let reader = zip.reader(audit_event::evidence::manifest::NAME);
    let limit = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    reader
        .ok_or(ExportError::NoManifest)?
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|_| ExportError::NoManifest)?;
    let manifest = Manifest::parse(&bytes).map_err(|_| ExportError::NoManifest)?;
    Ok((manifest, to_hex(&Sha256::digest(&bytes))))
}

/// The folder that something stands in.
fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new("."))
}
