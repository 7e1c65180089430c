//! `cairn-server`: see `cairn-server --help`.

mod offline;

use std::process::ExitCode;
use std::time::Duration;

use log_server::config::{self, Command, Config, TABLE};
use log_server::server::{DEFAULT_LOG, Server};
use serve::config::Refusal;
use serve::files;
use serve::process::{StopSignals, log_to_stderr, variable_names, worker_threads};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit status of a refusal to start, and of a command that could not run.
const REFUSED: u8 = 2;
/// How long answers may take to leave a process that must end.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// How long the tasks of a server that has ended are waited for: only a read of a failing disk takes long.
const TASKS_END_WITHIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    if let Err(error) = TABLE.check_utf8(std::env::vars_os()) {
        return output::refusal(&error);
    }
    let command = match config::parse(std::env::args_os(), variable) {
        Ok(command) => command,
        Err(Refusal::CommandLine(error)) => return output::command_line(&error),
        Err(Refusal::Config(error)) => return output::refusal(&error),
    };
    log_to_stderr();
    // Commands that check or copy a store open as many of its files as a server does.
    files::raise_limit();
    match run(command) {
        Ok(code) => code,
        Err(error) => output::refusal(&*error),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(config) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(worker_threads(config.worker_threads))
                .enable_all()
                .build()?;
            let code = runtime.block_on(serve(&config));
            // Tasks let go of the store before the process ends, as its engine must not be closed by one
            // of them while the C++ library is being taken down.
            runtime.shutdown_timeout(TASKS_END_WITHIN);
            code
        }
        Command::Fsck { config, json } => offline::fsck(&config, json),
        Command::Backup { config, out } => offline::backup(&config, &out),
        Command::Restore { config, from, expect } => {
            offline::restore(&config, &from, expect.as_deref())
        }
        Command::Recover { config } => offline::recover(&config),
        Command::Retire { config, log } => offline::retire(&config, &log),
    }
}

async fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    for variable in TABLE.unknown_variables(variable_names()) {
        tracing::warn!(variable, "the environment sets what is no setting: see serve --help");
    }
    let mut signals = StopSignals::new()?;
    let config = &config.within_open_files()?;
    let mut server = Server::start(config).await?;
    output::started(&server, config);
    tokio::select! {
        () = signals.next() => {}
        fatal = server.fatal() => {
            server.last_answers(LAST_ANSWERS_WITHIN).await;
            output::say(&format!("the process must end: {fatal:?}; restart it to recover"));
            return Ok(ExitCode::from(u8::try_from(fatal.exit_code()).unwrap_or(u8::MAX)));
        }
    }
    output::say("stopping; a second signal stops at once");
    let registry = server.registry().clone();
    tokio::select! {
        () = server.stop() => output::say("stopped"),
        () = signals.next() => {
            registry.shutdown().await;
            output::say("stopped at once");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The only code of this binary that prints: results on stdout, everything else on stderr.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "one module prints, this one")]
mod output {
    use super::{Config, DEFAULT_LOG, ExitCode, REFUSED, Server};
    use std::io::Write as _;

    /// Clap's own answer: help and the version are results, the rest is a refusal.
    pub(super) fn command_line(error: &clap::Error) -> ExitCode {
        drop(error.print());
        if error.kind() == clap::error::ErrorKind::InvalidUtf8 {
            eprintln!(
                "to use a folder whose name is not UTF-8, start in it and name it by a relative path,"
            );
            eprintln!("or make a symbolic link to it");
        }
        if error.use_stderr() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS }
    }

    /// The reason is the last line of stderr.
    pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> ExitCode {
        eprintln!("cairn-server: {error}");
        ExitCode::from(REFUSED)
    }

    /// Where results go.
    pub(super) fn results() -> impl std::io::Write {
        std::io::stdout().lock()
    }

    pub(super) fn say(line: &str) {
        eprintln!("{line}");
    }

    pub(super) fn started(server: &Server, config: &Config) {
        let url = format!("http://{}", server.address());
        println!("listening on {url}");
        // Whoever waits for the line reads a pipe.
        drop(std::io::stdout().flush());
        eprintln!("data in {}", config.data_dir.display());
        if server.is_first_start() {
            eprintln!(
                "a first start: made a log named {DEFAULT_LOG:?} and its keys. What to do next:"
            );
            eprintln!("  cairn --server {url} log show {DEFAULT_LOG}");
            eprintln!(
                "  echo hello | cairn --server {url} append {DEFAULT_LOG} --lines --receipt signed --out receipts"
            );
            let vkey = config.keys_dir().join(format!("{DEFAULT_LOG}.vkey"));
            eprintln!(
                "  cairn verify receipts/0.tlog-proof --entry receipts/0.entry --vkey '@{}'",
                vkey.display()
            );
            eprintln!("  give {} to whoever verifies", vkey.display());
        }
    }
}
