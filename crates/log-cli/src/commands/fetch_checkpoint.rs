//! `cairn checkpoint`: what a log has signed, to keep.

use std::path::PathBuf;

use clap::Args;
use formats::SignedCheckpoint;
use serde::Serialize;

use super::{client, trust_or_servers};
use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::files;
use crate::trust::OptionalTrustArgs;
use crate::ui::Ui;

const AFTER_HELP: &str = "\
The published checkpoint is verified, under --vkey or --policy, else under the keys the server
names, and written byte for byte. Keep it: `cairn prove LOG --consistency FILE` later shows that
the log only grew since.

Examples:
  cairn checkpoint default --out today.checkpoint --vkey @audit.vkey
  cairn checkpoint default";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CheckpointArgs {
    /// The log
    log: String,
    /// Where to write it; never overwrites. Without it, or with -, the checkpoint goes to stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    trust: OptionalTrustArgs,
}

#[derive(Serialize)]
struct CheckpointDocument<'a> {
    origin: &'a str,
    size: u64,
    root: String,
    checkpoint: &'a str,
}

pub(crate) async fn run(args: CheckpointArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let client = client(server)?;
    let trust = trust_or_servers(&args.trust, &client, &args.log, ui).await?;
    let published = client.checkpoint(&args.log).await?;
    let signed = SignedCheckpoint::parse(&published.checkpoint)
        .map_err(|source| CliError::ServedCheckpoint { source })?;
    trust.verify(&signed).map_err(|source| CliError::CheckpointRefused { source })?;
    let (origin, size) = (signed.origin().as_str(), signed.size().get());
    let text = String::from_utf8_lossy(signed.as_bytes());
    let document =
        CheckpointDocument { origin, size, root: signed.root().to_string(), checkpoint: &text };
    match args.out.as_deref().filter(|out| !files::is_stdio(out)) {
        Some(out) => {
            files::create(out, signed.as_bytes(), 0o644)?;
            ui.result(format_args!("{}: {origin} of {size} entries", out.display()), &document)?;
        }
        None => ui.whole(signed.as_bytes(), &document)?,
    }
    Ok(Exit::Done)
}
