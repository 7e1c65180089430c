//! `cairn witness`: have a witness witness a log, and ask witnesses what they hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::clock::SystemClock;
use base::error::chain;
use clap::{Args, Subcommand};
use formats::{Origin, SignedCheckpoint};
use log_client::gossip::{self, Standing};
use log_client::tiles::HttpSource;
use serde::Serialize;
use witness_client::{WitnessClient, WitnessUrl};

use crate::error::{CliError, Exit};
use crate::files;
use crate::trust::{self, TrustArgs};
use crate::ui::Ui;

/// How long one witness may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

const ADD_LOG_HELP: &str = "\
Writes NAME.vkey into the folder of logs that `cairn-witness` looks at, and with --url NAME.url, the
addresses of the log's tiles, from which proofs are fetched when other witnesses tell of other heads.
A running witness picks both up. Neither file is ever overwritten.

Examples:
  cairn witness add-log audit --vkey @audit.vkey --logs-dir ~/.local/share/cairn-witness/logs
  cairn witness add-log a --vkey @audit.vkey --logs-dir logs --url https://log.example/logs/audit";

const STATUS_HELP: &str = "\
Asks witnesses what they hold of a log: the witnesses of --policy that have a URL, and every URL given.
What a witness answers is shown, not believed; the log's signature on the checkpoint is verified.

Exit codes: 0 no witness knows of a contradiction; 1 one does, or serves what the log did not sign;
3 one could not be asked.

Examples:
  cairn witness status http://127.0.0.1:6963 --vkey @audit.vkey
  cairn witness status --policy policy.txt --json";

#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Have the witness on this machine witness a log
    #[command(after_help = ADD_LOG_HELP)]
    AddLog(AddLogArgs),
    /// Ask witnesses what they hold of a log
    #[command(after_help = STATUS_HELP)]
    Status(StatusArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddLogArgs {
    /// What the files are called
    #[arg(value_parser = parse_name)]
    name: String,
    /// Verifier key of the log, or @FILE with one a line; repeatable, all of one log
    #[arg(long = "vkey", value_name = "KEY|@FILE", required = true)]
    vkeys: Vec<String>,
    /// Address of the log's tiles; repeatable
    #[arg(long = "url", value_name = "URL", value_parser = parse_url)]
    urls: Vec<String>,
    /// The witness's folder of logs
    #[arg(long, value_name = "DIR")]
    logs_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Addresses of witnesses, beside those of --policy
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What is wrong with the witnesses, or logs, that were named.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WitnessError {
    #[error("the keys are not of one log")]
    NotOneLog,
    #[error("no witness was named")]
    NoWitness,
    #[error(transparent)]
    Url { source: witness_client::UrlError },
    #[error(transparent)]
    Client { source: witness_client::AuthoritiesError },
}

impl WitnessError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NotOneLog | Self::NoWitness | Self::Url { .. } => Exit::Unusable,
            Self::Client { .. } => Exit::Failed,
        }
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotOneLog => "pass the keys of one log, whose name is its origin",
            Self::NoWitness => "pass the URLs of witnesses, or a --policy that has them",
            Self::Url { .. } => "use a form like http://127.0.0.1:6963",
            Self::Client { .. } => return None,
        })
    }
}

#[derive(Serialize)]
struct Added<'a> {
    origin: &'a str,
    files: Vec<&'a Path>,
}

/// What `--json` prints for each witness and log.
#[derive(Serialize)]
struct Status<'a> {
    witness: &'a str,
    origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    /// What is wrong, if the witness did not answer or serves what the log did not sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    contradicts: bool,
    /// Whether the witness answered, whatever it said.
    #[serde(skip)]
    answered: bool,
}

impl Status<'_> {
    fn exit(&self) -> Exit {
        match (self.contradicts, &self.problem) {
            (true, _) => Exit::No,
            (false, Some(_)) if self.answered => Exit::No,
            (false, Some(_)) => Exit::Failed,
            (false, None) => Exit::Done,
        }
    }
}

pub(crate) async fn run(command: WitnessCommand, ui: &Ui) -> Result<Exit, CliError> {
    match command {
        WitnessCommand::AddLog(args) => add_log(&args, ui),
        WitnessCommand::Status(args) => status(&args, ui).await,
    }
}

/// Writes the keys last, so that a witness that sees them finds the addresses beside them.
fn add_log(args: &AddLogArgs, ui: &Ui) -> Result<Exit, CliError> {
    let keys = trust::vkeys(&args.vkeys)?;
    let origin = keys.first().map(|key| key.name().clone()).ok_or(WitnessError::NotOneLog)?;
    if keys.iter().any(|key| *key.name() != origin) {
        return Err(WitnessError::NotOneLog.into());
    }
    let vkey_file = args.logs_dir.join(format!("{}.vkey", args.name));
    let url_file = args.logs_dir.join(format!("{}.url", args.name));
    if vkey_file.exists() {
        return Err(CliError::Exists { path: vkey_file });
    }
    files::create_folder(&args.logs_dir)?;
    let mut made: Vec<&Path> = Vec::new();
    if !args.urls.is_empty() {
        files::create(&url_file, (args.urls.join("\n") + "\n").as_bytes(), 0o644)?;
        made.push(&url_file);
    }
    let lines: Vec<String> = keys.iter().map(ToString::to_string).collect();
    files::create(&vkey_file, (lines.join("\n") + "\n").as_bytes(), 0o644)?;
    made.push(&vkey_file);
    let said = made.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join("\n");
    ui.result(said, &Added { origin: origin.as_str(), files: made })?;
    Ok(Exit::Done)
}

async fn status(args: &StatusArgs, ui: &Ui) -> Result<Exit, CliError> {
    let trust = args.trust.load(ui)?;
    let mut urls = args.urls.clone();
    urls.extend(gossip::witness_urls(&trust));
    let keys = trust::log_keys(trust);
    let mut origins: Vec<Origin> = keys.iter().map(|key| key.name().clone().into()).collect();
    origins.sort();
    origins.dedup();
    if urls.is_empty() {
        return Err(WitnessError::NoWitness.into());
    }
    let mut exit = Exit::Done;
    for url in &urls {
        for origin in &origins {
            let found = ask(url, origin, &keys).await?;
            exit = match (exit, found.exit()) {
                (Exit::No, _) | (_, Exit::No) => Exit::No,
                (Exit::Done, found) => found,
                (before, _) => before,
            };
            ui.result(said(&found), &found)?;
        }
    }
    Ok(exit)
}

async fn ask<'a>(
    url: &'a str,
    origin: &'a Origin,
    keys: &[formats::VerifierKey],
) -> Result<Status<'a>, CliError> {
    let address =
        WitnessUrl::parse(url.as_bytes()).map_err(|source| WitnessError::Url { source })?;
    let client = WitnessClient::new(TIMEOUT, address.is_https(), Arc::new(SystemClock::new()))
        .map_err(|source| WitnessError::Client { source })?;
    let mut status = Status {
        witness: url,
        origin: origin.as_str(),
        size: None,
        root: None,
        problem: None,
        contradicts: false,
        answered: true,
    };
    let note = match client.monitored_checkpoint(&address, origin).await {
        Ok(Some(note)) => note,
        Ok(None) => return Ok(status),
        Err(error) => {
            status.problem = Some(chain(&error));
            status.answered = false;
            return Ok(status);
        }
    };
    match SignedCheckpoint::parse(&note).and_then(|signed| signed.verify(keys)) {
        Ok(verified) => {
            status.size = Some(verified.size().get());
            status.root = Some(verified.root().to_string());
        }
        Err(error) => {
            status.problem = Some(chain(&error));
            return Ok(status);
        }
    }
    // A witness that does not gossip says nothing about contradictions.
    let standing = gossip::report_checkpoint(url, note).await.ok();
    status.contradicts = standing == Some(Standing::Contradicts);
    Ok(status)
}

fn said(status: &Status<'_>) -> String {
    let Status { witness, origin, size, root, problem, contradicts, answered: _ } = status;
    let held = match (size, root, problem) {
        (_, _, Some(problem)) => problem.clone(),
        (Some(size), Some(root), None) => format!("{size}\t{root}"),
        _ => "holds nothing".to_owned(),
    };
    let evidence = if *contradicts { "\tHOLDS EVIDENCE against this log" } else { "" };
    format!("{witness}\t{origin}\t{held}{evidence}")
}

/// A file name that the witness looks at.
fn parse_name(name: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
        return Err("use letters, digits, - and _".to_owned());
    }
    Ok(name.to_owned())
}

fn parse_url(url: &str) -> Result<String, String> {
    HttpSource::check(url).map(|()| url.to_owned()).map_err(|error| error.to_string())
}
