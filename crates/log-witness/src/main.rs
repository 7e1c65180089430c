//! `cairn-witness`: see `cairn-witness --help`.

use std::process::ExitCode;

use formats::Origin;
use log_witness::config::{self, Command, Config, TABLE};
use log_witness::server::Server;
use log_witness::store::Store;
use log_witness::witness::Cosigner;
use log_witness::{fsck, trust};
use serve::config::Refusal;
use serve::process::{StopSignals, log_to_stderr, variable_names, worker_threads};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit status of a check that found damage.
const DAMAGED: u8 = 1;
/// The exit status of a refusal to start, and of a command that could not run.
const REFUSED: u8 = 2;
/// The exit status after a failed write: the next start finds out what is stored (`EX_TEMPFAIL`).
const STORE_FAILED: u8 = 75;

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
            runtime.shutdown_background();
            code
        }
        Command::Fsck { config } => check(&config),
        Command::Trust { config, origin } => trust_again(&config, &origin),
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
        () = server.failed() => {
            output::say("the store cannot be written: the process ends; restart it to see what is stored");
            return Ok(ExitCode::from(STORE_FAILED));
        }
    }
    output::say("stopping; a second signal stops at once");
    tokio::select! {
        () = server.stop() => output::say("stopped"),
        () = signals.next() => output::say("stopped at once"),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(config: &Config) -> anyhow::Result<ExitCode> {
    let mut store = existing_store(config)?;
    let keys = base::keys::read(&config.keys_path(), config.key_readers)?;
    let own = keys.map(|keys| Cosigner::new(&keys).verifier_keys().to_vec()).unwrap_or_default();
    let report = fsck::run(&mut store, &own)?;
    report.write_text(&mut output::results())?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) })
}

fn trust_again(config: &Config, origin: &Origin) -> anyhow::Result<ExitCode> {
    let decision = trust::run(&existing_store(config)?, origin)?;
    output::decided(origin, decision)?;
    Ok(ExitCode::SUCCESS)
}

/// A command that checks or changes a store makes none.
fn existing_store(config: &Config) -> anyhow::Result<Store> {
    let path = config.store_path();
    anyhow::ensure!(Store::is_at(&path), "{}: no store is there; see --data-dir", path.display());
    Ok(Store::open(&path, config.cache_bytes)?)
}

/// The only code of this binary that prints: results on stdout, everything else on stderr.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "one module prints, this one")]
mod output {
    use super::{Config, ExitCode, Origin, REFUSED, Server, trust};
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
        eprintln!("cairn-witness: {error}");
        ExitCode::from(REFUSED)
    }

    /// Where results go.
    pub(super) fn results() -> impl std::io::Write {
        std::io::stdout().lock()
    }

    pub(super) fn say(line: &str) {
        eprintln!("{line}");
    }

    pub(super) fn decided(origin: &Origin, decision: trust::Decision) -> std::io::Result<()> {
        let mut out = results();
        if decision.despite_evidence {
            writeln!(out, "{origin} is trusted again; the evidence against it stays served")?;
        } else {
            writeln!(out, "there is no evidence against {origin}")?;
        }
        if decision.forgot_keys {
            writeln!(out, "the keys in its file are taken at the next start, whatever they are")?;
        }
        Ok(())
    }

    pub(super) fn started(server: &Server, config: &Config) {
        let url = format!("http://{}", server.address());
        println!("listening on {url}");
        // Whoever waits for the line reads a pipe.
        drop(std::io::stdout().flush());
        eprintln!("data in {}", config.data_dir.display());
        let logs = server.witness().roster().len();
        eprintln!("witnessing {logs} logs, from {}", config.logs_dir.display());
        eprintln!("peers gossip with it over TLS by --peer '{}'", peer_value(server));
        let vkeys = base::keys::public_path(&config.keys_path());
        if server.is_first_start() {
            eprintln!("a first start: made the witness's keys. What to do next:");
            eprintln!(
                "  give {} to the operators of logs and to whoever verifies",
                vkeys.display()
            );
        }
        if logs == 0 {
            eprintln!("  have it witness a log, with the keys that the log's operator sends:");
            eprintln!(
                "  cairn witness add-log NAME --vkey @NAME.vkey --logs-dir '{}'",
                config.logs_dir.display()
            );
            eprintln!("  name {url} in the logs' witness policies");
        }
    }

    /// What peers are started with. Where every address is listened on, the machine's name stands for them.
    fn peer_value(server: &Server) -> String {
        let (address, pin) = (server.address(), server.pin());
        if address.ip().is_unspecified() {
            let host = gethostname::gethostname().to_string_lossy().into_owned();
            return format!("https://{host}:{}#{pin}", address.port());
        }
        format!("https://{address}#{pin}")
    }
}
