//! `cairn`: append to a transparency log, prove, verify offline, follow, audit and measure.
//!
//! Reading order: `args` (what can be asked), `commands` (one file each), `error` and `ui` (what the
//! caller sees), `api` (audit logs over HTTP), `bench` (the load generator).

use std::process::ExitCode;

use clap::Parser;

mod api;
mod args;
mod bench;
mod cloudtrail;
mod commands;
mod error;
mod events;
mod files;
mod filters;
mod kept;
mod lines;
mod range_receipt;
mod trust;
mod ui;

use args::Cli;
use ui::Ui;

/// Bare calls are dominated by small allocations; this allocator costs a fifth less of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return usage_exit(&usage),
    };
    let ui = Ui::new(cli.global.json, cli.global.quiet);
    let outcome = commands::run(cli, &ui).and_then(|exit| ui.flush().map(|()| exit));
    match outcome {
        Ok(exit) => exit.into(),
        // The reader of our output is gone (`cairn tail | head`): that is no error.
        Err(error) if error.is_broken_pipe() => error::Exit::Done.into(),
        Err(error) => {
            ui.error(&error);
            error.exit().into()
        }
    }
}

/// Help and version go to stdout with exit code 0, usage errors to stderr with exit code 2.
fn usage_exit(usage: &clap::Error) -> ExitCode {
    let exit = if usage.use_stderr() { error::Exit::Unusable } else { error::Exit::Done };
    match usage.print() {
        Ok(()) => exit.into(),
        Err(_) => error::Exit::Failed.into(),
    }
}
