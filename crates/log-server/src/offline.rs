//! The subcommands besides `serve`: they work on a store, or speak to its server, and print what
//! they found.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use base::clock::machine::now;
use log_core::Registry;
use log_server::config::Config;
use log_server::copies::Copies;
use log_server::erase::Order;
use log_server::{admin, erase, server};
use storage::LogName;
use storage_rocksdb::backup::{self, Secrets};
use storage_rocksdb::fsck as check;
use storage_rocksdb::fsck::Progress;

use serve::output;

/// The exit status of a check that found damage.
const DAMAGED: u8 = 1;
/// How often a long command says where it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
/// How long the tasks of a command's logs may take to end.
const TASKS_END_WITHIN: Duration = Duration::from_secs(2);

pub(super) fn fsck(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let mut progress = progress();
    let (data_dir, heads_dir) = (&config.data_dir, &config.heads_dir);
    let report = check::run(data_dir, heads_dir, &config.storage, &mut progress)?;
    let mut out = output::results();
    if json {
        report.write_json(&mut out)?;
    } else {
        report.write_text(&mut out)?;
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) })
}

pub(super) fn backup(config: &Config, out: &Path, secrets: Secrets) -> anyhow::Result<ExitCode> {
    let out = std::path::absolute(out)?;
    let live = admin::back_up_live(&config.data_dir, &out, secrets)?;
    let by = if live.is_some() { "the running server" } else { "this process" };
    let warning = if let Some(warning) = live {
        warning
    } else {
        let written = backup::backup(&config.data_dir, &out, secrets, &config.storage)?;
        written.warning().unwrap_or_default()
    };
    let mut results = output::results();
    writeln!(results, "backup written to {} by {by}", out.display())?;
    if !warning.is_empty() {
        writeln!(results, "{warning}")?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(
    config: &Config,
    from: &Path,
    expect: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let mut progress = progress();
    let (data_dir, heads_dir) = (&config.data_dir, &config.heads_dir);
    let report =
        backup::restore(from, data_dir, heads_dir, expect, &config.storage, &mut progress)?;
    let mut out = output::results();
    writeln!(out, "restored {} logs to {}", report.logs.len(), data_dir.display())?;
    for log in &report.without_secret {
        writeln!(
            out,
            "audit log {log} takes no events until its secret is back: put it at keys/{log}.audit"
        )?;
    }
    for log in &report.behind_journal {
        writeln!(
            out,
            "log {log} is behind the journal: heads were signed that these data do not have; \
             restore newer data, retire the log, or serve it with --read-only"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn recover(config: &Config) -> anyhow::Result<ExitCode> {
    let (data_dir, heads_dir) = (&config.data_dir, &config.heads_dir);
    let without_journal = config.adopt_journal;
    let report = backup::recover_truncating(data_dir, heads_dir, without_journal, &config.storage)?;
    let mut out = output::results();
    match &report.cut {
        None => writeln!(out, "the write-ahead log is not damaged: nothing was changed")?,
        Some(cut) => writeln!(out, "{}: cut at byte {}", cut.path.display(), cut.offset)?,
    }
    for log in &report.logs {
        let (name, kept, seen) = (&log.log, log.kept, log.seen);
        match seen.checked_sub(1).filter(|last| *last >= kept) {
            Some(last) => {
                writeln!(out, "log {name}: kept {kept} entries, lost entries {kept} to {last}")?;
            }
            None => writeln!(out, "log {name}: kept {kept} entries")?,
        }
    }
    if let Some(unread) = report.cut.map(|cut| cut.unread_bytes).filter(|bytes| *bytes > 0) {
        writeln!(out, "{unread} bytes could not be read: more entries may be lost behind these")?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn retire(config: &Config, log: &str) -> anyhow::Result<ExitCode> {
    let name = LogName::new(log)?;
    let (data_dir, heads_dir) = (&config.data_dir, &config.heads_dir);
    let report = backup::retire(data_dir, heads_dir, &name, &config.storage)?;
    let (log, size) = (&report.log, report.size);
    writeln!(output::results(), "log {log} is retired at size {size}: it signs nothing any more")?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn clock_accept(config: &Config) -> anyhow::Result<ExitCode> {
    writeln!(output::results(), "{}", admin::clock_accept(&config.data_dir)?)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn erase(config: &Config, order: &Order) -> anyhow::Result<ExitCode> {
    let said = match admin::erase_live(&config.data_dir, order)? {
        Some(said) => said,
        None => erase_stopped(config, order)?,
    };
    writeln!(output::results(), "{said}")?;
    Ok(ExitCode::SUCCESS)
}

/// Nobody has the store open, so this process opens its logs as a server would.
fn erase_stopped(config: &Config, order: &Order) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let copies = Copies::of_folder(config);
    let work = async |registry: &Registry| erase::erase(registry, &copies, order).await;
    let said = runtime.block_on(async { server::with_logs(config, work).await });
    // The tasks must release the store before the process ends.
    runtime.shutdown_timeout(TASKS_END_WITHIN);
    Ok(said??)
}

fn progress() -> impl FnMut(Progress<'_>) {
    let mut said = now();
    move |progress| {
        if said.elapsed() >= PROGRESS_INTERVAL {
            said = now();
            let Progress { log, entries, size } = progress;
            output::say(format_args!("log {log}: {entries} of {size} entries"));
        }
    }
}
