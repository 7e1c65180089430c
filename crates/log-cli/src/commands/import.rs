//! `cairn import`: files of events into an audit log.

mod cloudtrail;
mod given;
mod ndjson;

use bytes::Bytes;
use clap::Subcommand;
use serde_json::{Map, Value};

use crate::api::{self, Api, ApiError, JSON};
use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::ui::Ui;

/// Why files cannot be imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error("{path} holds more than {max} files")]
    TooManyFiles { path: std::path::PathBuf, max: usize },
    #[error("{path} is not a list of public keys")]
    NotKeys { path: std::path::PathBuf },
    #[error("there is no file to import")]
    Nothing,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Import audit events as JSON, one a line
    #[command(after_help = ndjson::AFTER_HELP)]
    Ndjson(ndjson::NdjsonArgs),
    /// Import log files of AWS CloudTrail, and verify them by their digests
    #[command(after_help = cloudtrail::AFTER_HELP)]
    Cloudtrail(cloudtrail::CloudtrailArgs),
}

pub(crate) async fn run(
    command: ImportCommand,
    server: &Server,
    ui: &Ui,
) -> Result<Exit, CliError> {
    let api = Api::new(server)?;
    match command {
        ImportCommand::Ndjson(args) => ndjson::run(args, &api, ui).await,
        ImportCommand::Cloudtrail(args) => cloudtrail::run(args, &api, ui).await,
    }
}

/// Has the log record what an import came to.
async fn finished(api: &Api, log: &str, members: Map<String, Value>) -> Result<(), ApiError> {
    let path = format!("/v1/logs/{}/imports", api::segment(log));
    let body = Bytes::from(Value::Object(members).to_string());
    api::done(api.post(&path, JSON, body).await?).map(drop)
}
