//! `--vkey` and `--policy`: whom the caller believes.

use std::path::{Path, PathBuf};

use clap::Args;
use formats::VerifierKey;
use formats::key::read_vkeys;
use formats::policy::Policy;
use formats::trust::Trust;

use crate::error::CliError;
use crate::files;
use crate::ui::Ui;

/// Largest file of keys, or policy, that is read.
const TRUST_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Whom to believe, where it must be said.
#[derive(Debug, Args)]
#[group(id = "trust", required = true, multiple = false)]
pub(crate) struct TrustArgs {
    /// Verifier key of the log, or @FILE with one a line; repeatable
    #[arg(long = "vkey", value_name = "KEY|@FILE")]
    vkeys: Vec<String>,
    /// A policy (c2sp.org/tlog-policy): logs, witnesses and the quorum that counts
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Whom to believe, where the server may be asked for its keys.
#[derive(Clone, Debug, Args)]
#[group(id = "optional_trust", multiple = false)]
pub(crate) struct OptionalTrustArgs {
    /// Verifier key of the log, or @FILE with one a line; repeatable. Without it and --policy,
    /// the keys that the server names are used, and stderr says so
    #[arg(long = "vkey", value_name = "KEY|@FILE")]
    vkeys: Vec<String>,
    /// A policy (c2sp.org/tlog-policy): logs, witnesses and the quorum that counts
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl TrustArgs {
    pub(crate) fn load(&self, ui: &Ui) -> Result<Trust, CliError> {
        load(&self.vkeys, self.policy.as_deref(), ui)
    }
}

/// The keys of the logs, without those of witnesses: evidence needs only what the logs signed.
pub(crate) fn log_keys(trust: Trust) -> Vec<VerifierKey> {
    match trust {
        Trust::Keys(keys) => keys,
        Trust::Policy(policy) => policy.logs().iter().map(|log| log.key().clone()).collect(),
    }
}

impl OptionalTrustArgs {
    /// `None` if the caller named nobody.
    pub(crate) fn load(&self, ui: &Ui) -> Result<Option<Trust>, CliError> {
        if self.vkeys.is_empty() && self.policy.is_none() {
            return Ok(None);
        }
        load(&self.vkeys, self.policy.as_deref(), ui).map(Some)
    }
}

/// The keys of `--vkey` arguments.
pub(crate) fn vkeys(arguments: &[String]) -> Result<Vec<VerifierKey>, CliError> {
    let mut keys = Vec::new();
    for argument in arguments {
        match argument.strip_prefix('@') {
            Some(path) => keys.extend(vkey_file(Path::new(path))?),
            None => keys.push(vkey(argument)?),
        }
    }
    Ok(keys)
}

/// One verifier key.
pub(crate) fn vkey(text: &str) -> Result<VerifierKey, CliError> {
    VerifierKey::parse(text).map_err(|source| CliError::Vkey { vkey: text.to_owned(), source })
}

fn load(arguments: &[String], policy: Option<&Path>, ui: &Ui) -> Result<Trust, CliError> {
    let Some(path) = policy else { return Ok(Trust::Keys(vkeys(arguments)?)) };
    let bytes = files::read(path, TRUST_FILE_BYTES_MAX)?;
    let policy = Policy::parse(&bytes)
        .map_err(|source| CliError::Policy { path: path.to_owned(), source })?;
    if policy.logs().is_empty() {
        return Err(CliError::PolicyWithoutLog { path: path.to_owned() });
    }
    for (one, other) in policy.counted_twice() {
        let [one, other] = [one, other].map(|witness| witness.name().escape_ascii());
        ui.note(format_args!(
            "warning: {}: the witnesses {one} and {other} share a name or URL and may count twice \
             for one operator; put them in a group: group NAME any {one} {other}",
            path.display()
        ));
    }
    Ok(Trust::Policy(policy))
}

fn vkey_file(path: &Path) -> Result<Vec<VerifierKey>, CliError> {
    let bytes = files::read(path, TRUST_FILE_BYTES_MAX)?;
    read_vkeys(&bytes).map_err(|source| CliError::VkeyFile { path: path.to_owned(), source })
}
