//! `cairn-witness`: see `cairn-witness --help`.

use std::io::Write as _;
use std::process::ExitCode;

use formats::Origin;
use log_witness::config::{self, Command, Config, SOURCES};
use log_witness::server::Server;
use log_witness::store::Store;
use log_witness::witness::Cosigner;
use log_witness::{admin, fsck, trust};
use serve::output::{listening, results, say};
use serve::process::{self, RunOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit status of a check that found damage.
const DAMAGED: u8 = 1;

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let parse = || config::parse(std::env::args_os(), variable);
    process::main("cairn-witness", &SOURCES, parse, run)
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(config) => {
            let (worker_threads, drain) = (config.worker_threads, config.port.drain);
            let options = RunOptions { worker_threads, drain, sources: &SOURCES };
            let start = async { Ok(Server::start(&config.within_open_files()?).await?) };
            process::serve(options, start, |server| started(server, &config))
        }
        Command::Fsck { config } => check(&config),
        Command::Trust { config, origin } => trust_again(&config, &origin),
        Command::ClockAccept { config } => {
            let said = admin::clock_accept(&config.data_dir)?;
            writeln!(results(), "{said}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(config: &Config) -> anyhow::Result<ExitCode> {
    let path = existing_store(config)?;
    let mut store = Store::open_to_check(&path, config.cache_bytes)?;
    let keys = base::keys::read(&config.keys_path(), config.key_readers)?;
    let own = keys.map(|keys| Cosigner::new(&keys).verifier_keys().to_vec()).unwrap_or_default();
    let report = fsck::run(&mut store, &own)?;
    report.write_text(&mut results())?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) })
}

fn trust_again(config: &Config, origin: &Origin) -> anyhow::Result<ExitCode> {
    let store = Store::open(&existing_store(config)?, config.cache_bytes)?;
    let decision = trust::run(&store, origin)?;
    let mut out = results();
    if decision.despite_evidence {
        writeln!(out, "{origin} is trusted again; the evidence against it stays served")?;
    } else {
        writeln!(out, "there is no evidence against {origin}")?;
    }
    if decision.forgot_keys {
        writeln!(out, "the keys in its file are taken at the next start, whatever they are")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A command that checks or changes a store makes none.
fn existing_store(config: &Config) -> anyhow::Result<std::path::PathBuf> {
    let path = config.store_path();
    anyhow::ensure!(Store::is_at(&path), "{}: no store is there; see --data-dir", path.display());
    Ok(path)
}

fn started(server: &Server, config: &Config) {
    let url = format!("http://{}", server.address());
    listening(&url);
    say(format_args!("data in {}", config.data_dir.display()));
    let logs = server.witness().roster().len();
    say(format_args!("witnessing {logs} logs, from {}", config.logs_dir.display()));
    say(format_args!("peers gossip with it over TLS by --peer '{}'", peer_value(server)));
    if server.is_first_start() {
        say("a first start: made the witness's keys. What to do next:");
        let vkeys = base::keys::public_path(&config.keys_path());
        let vkeys = vkeys.display();
        say(format_args!("  give {vkeys} to the operators of logs and to whoever verifies"));
    }
    if logs == 0 {
        let folder = config.logs_dir.display();
        say("  have it witness a log, with the keys that the log's operator sends:");
        say(format_args!("  cairn witness add-log NAME --vkey @NAME.vkey --logs-dir '{folder}'"));
        say(format_args!("  name {url} in the logs' witness policies"));
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
