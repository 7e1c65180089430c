//! The subcommands that work on a store nobody serves.

use std::path::Path;
use std::process::ExitCode;

use log_server::config::Config;

pub(super) fn fsck(_config: &Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("fsck is not built in")
}

pub(super) fn backup(_config: &Config, _out: &Path) -> anyhow::Result<ExitCode> {
    anyhow::bail!("backup is not built in")
}

pub(super) fn restore(
    _config: &Config,
    _from: &Path,
    _expect: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    anyhow::bail!("restore is not built in")
}

pub(super) fn recover(_config: &Config) -> anyhow::Result<ExitCode> {
    anyhow::bail!("recover is not built in")
}

pub(super) fn retire(_config: &Config, _log: &str) -> anyhow::Result<ExitCode> {
    anyhow::bail!("retire is not built in")
}
