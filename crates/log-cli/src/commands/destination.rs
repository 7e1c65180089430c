//! `cairn destination`: who else gets events, what they lack, and their dead letters.

use std::sync::Arc;
use std::time::Duration;

use base::clock::SystemClock;
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{Method, Request, StatusCode};
use http_client::{CallError, Client, Options, Redirects};
use serde_json::{Value, json};
use tls::{Address, AddressError, AuthoritiesError};

use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::ui::Ui;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

const LIST_HELP: &str = "\
One line for each destination and log: name, kind, log, state, the first event that is not done, how many
events it lacks, how many dead letters it has, and what is wrong. A dead letter is a line of its own below:
name, log, index, time and reason.

Examples:
  cairn destination list
  cairn destination list --json";

const RETRY_HELP: &str = "\
Sends dead letters again, and lets a destination go on that had stopped. With --from everything from that
event on is sent again, which a destination may then have twice.

Examples:
  cairn destination retry siem
  cairn destination retry siem --log audit --index 13 --index 14
  cairn destination retry siem --log audit --from 4000";

const SKIP_HELP: &str = "\
The destination never gets these events; they stay in the log.

Examples:
  cairn destination skip siem --log audit --index 13
  cairn destination skip siem";

#[derive(Debug, Subcommand)]
pub(crate) enum DestinationCommand {
    /// List destinations: how far each is, and its dead letters
    #[command(after_help = LIST_HELP)]
    List,
    /// Send dead letters again, and go on after a stop
    #[command(after_help = RETRY_HELP)]
    Retry(RetryArgs),
    /// Give dead letters up
    #[command(after_help = SKIP_HELP)]
    Skip(SkipArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SkipArgs {
    /// The destination
    name: String,
    /// Only of this log
    #[arg(long, value_name = "LOG")]
    log: Option<String>,
    /// Only this dead letter; repeatable
    #[arg(long = "index", value_name = "N", requires = "log")]
    indexes: Vec<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    which: SkipArgs,
    /// Send everything again from this event on
    #[arg(long, value_name = "N", requires = "log")]
    from: Option<u64>,
}

/// Why destinations could not be asked about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DestinationError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    #[error("the server cannot be asked about destinations")]
    Call(#[from] CallError),
    #[error("the server refuses: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("the server's answer is not one about destinations")]
    Answer,
}

impl DestinationError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Address(_) => Exit::Unusable,
            _ => Exit::Failed,
        }
    }

    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Address(_) | Self::Authorities(_) | Self::Call(_) => {
                "check that the server runs, and name it with --server or CAIRN_SERVER"
            }
            Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND => {
                "`cairn destination list` names the destinations and their logs"
            }
            Self::Refused { .. } => "look at the server's log, or try again",
            Self::Answer => "check that client and server are of one version",
        }
    }
}

pub(crate) async fn run(
    command: DestinationCommand,
    server: &Server,
    ui: &Ui,
) -> Result<Exit, CliError> {
    match command {
        DestinationCommand::List => {
            let all = ask(server, Method::GET, "/v1/destinations", None).await?;
            let all = all["destinations"].as_array().ok_or(DestinationError::Answer)?;
            all.iter().try_for_each(|destination| list(destination, ui))?;
        }
        DestinationCommand::Retry(RetryArgs { which, from }) => {
            wish(server, "retry", &which, from, ui).await?;
        }
        DestinationCommand::Skip(which) => wish(server, "skip", &which, None, ui).await?,
    }
    Ok(Exit::Done)
}

fn list(destination: &Value, ui: &Ui) -> Result<(), CliError> {
    if ui.is_json() {
        return ui.result("", destination);
    }
    let (name, kind) = (text(&destination["name"]), text(&destination["kind"]));
    for lane in destination["logs"].as_array().ok_or(DestinationError::Answer)? {
        let shown = ["log", "state", "next", "lag", "dead_letters_total", "says"];
        let shown = shown.map(|member| text(&lane[member]));
        ui.result(format!("{name}\t{kind}\t{}", shown.join("\t")).trim_end(), &())?;
        for letter in lane["dead_letters"].as_array().into_iter().flatten() {
            let shown = ["index", "at", "reason"].map(|member| text(&letter[member]));
            ui.result(format!("{name}\t{}\t{}", text(&lane["log"]), shown.join("\t")), &())?;
        }
    }
    Ok(())
}

/// A text without what would end a cell, or a number.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace(char::is_control, " "),
        other => other.to_string(),
    }
}

async fn wish(
    server: &Server,
    what: &str,
    which: &SkipArgs,
    from: Option<u64>,
    ui: &Ui,
) -> Result<(), CliError> {
    let SkipArgs { name, log, indexes } = which;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_name) {
        let message = "there is no destination of this name".to_owned();
        return Err(DestinationError::Refused { status: StatusCode::NOT_FOUND, message }.into());
    }
    let mut body = json!({});
    let members = [
        ("log", log.as_ref().map(|log| json!(log))),
        ("indexes", (!indexes.is_empty()).then(|| json!(indexes))),
        ("from", from.map(|from| json!(from))),
    ];
    for (member, value) in members {
        if let Some(value) = value {
            body[member] = value;
        }
    }
    let path = format!("/v1/destinations/{name}/{what}");
    let done = ask(server, Method::POST, &path, Some(body.to_string())).await?;
    let (member, says) = match what {
        "retry" => ("retried", "dead letters are sent again"),
        _ => ("skipped", "dead letters are given up"),
    };
    let count = done[member].as_u64().ok_or(DestinationError::Answer)?;
    ui.result(format_args!("{count} {says}"), &done)
}

async fn ask(
    server: &Server,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<Value, DestinationError> {
    let address: Address = server.server.parse()?;
    let options = Options {
        known: address.known(),
        connect_timeout: TIMEOUT,
        answer_timeout: TIMEOUT,
        idle_connections_max: 1,
        redirects: Redirects::Answers,
    };
    let client = Client::new(options, Arc::new(SystemClock::new()))?;
    let request = Request::builder().method(method).uri(format!("{address}{path}"));
    let request = request.header(http::header::CONTENT_TYPE, "application/json");
    let request = request.body(Bytes::from(body.unwrap_or_default()));
    let request = request.map_err(|_| DestinationError::Answer)?;
    let answer = client.ask(request).await?.whole(ANSWER_BYTES_MAX).await?;
    let status = answer.status();
    let value = serde_json::from_slice::<Value>(answer.body()).unwrap_or_default();
    if status.is_success() {
        return Ok(value);
    }
    let message = value["error"]["message"].as_str().unwrap_or(status.as_str()).to_owned();
    Err(DestinationError::Refused { status, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_no_tab_or_line_end() {
        assert_eq!(text(&json!("a\tb\nc")), "a b c");
        assert_eq!(text(&json!(5)), "5");
        assert_eq!(text(&Value::Null), "");
    }

    #[test]
    fn errors_say_whose_fault_they_are() {
        let address = "ftp://a".parse::<Address>().unwrap_err();
        assert_eq!(DestinationError::Address(address).exit(), Exit::Unusable);
        let (status, message) = (StatusCode::NOT_FOUND, "no such".to_owned());
        let refused = DestinationError::Refused { status, message };
        assert_eq!(refused.exit(), Exit::Failed);
        assert!(refused.hint().contains("cairn destination list"));
    }
}
