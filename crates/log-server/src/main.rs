//! `cairn-server`: see `cairn-server --help`.

mod offline;

use std::process::ExitCode;

use log_server::config::{self, Command, Config, SOURCES};
use log_server::server::{DEFAULT_LOG, Server};
use serve::output::{listening, say};
use serve::process::{self, RunOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let parse = || config::parse(std::env::args_os(), variable);
    process::main("cairn-server", &SOURCES, parse, run)
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(config) => {
            let (worker_threads, drain) = (config.worker_threads, config.port.drain);
            let options = RunOptions { worker_threads, drain, sources: &SOURCES };
            let start = async { Ok(Server::start(&config.within_open_files()?).await?) };
            process::serve(options, start, |server| started(server, &config))
        }
        Command::Fsck { config, json } => offline::fsck(&config, json),
        Command::Backup { config, out, secrets } => offline::backup(&config, &out, secrets),
        Command::Restore { config, from, expect } => {
            offline::restore(&config, &from, expect.as_deref())
        }
        Command::Recover { config } => offline::recover(&config),
        Command::Retire { config, log } => offline::retire(&config, &log),
        Command::ClockAccept { config } => offline::clock_accept(&config),
        Command::Erase { config, order } => offline::erase(&config, &order),
    }
}

fn started(server: &Server, config: &Config) {
    let url = format!("http://{}", server.address());
    listening(&url);
    for address in server.syslog_addresses() {
        say(format_args!("syslog on {address}"));
    }
    say(format_args!("data in {}", config.data_dir.display()));
    if server.is_first_start() {
        say(format_args!(
            "a first start: made a log named {DEFAULT_LOG:?} and its keys. What to do next:"
        ));
        say(format_args!("  cairn --server {url} log show {DEFAULT_LOG}"));
        say(format_args!(
            "  echo hello | cairn --server {url} append {DEFAULT_LOG} --lines --receipt signed --out receipts"
        ));
        let vkey = config.keys_dir().join(format!("{DEFAULT_LOG}.vkey"));
        say(format_args!(
            "  cairn verify receipts/0.tlog-proof --entry receipts/0.entry --vkey '@{}'",
            vkey.display()
        ));
        say(format_args!("  give {} to whoever verifies", vkey.display()));
    }
}
