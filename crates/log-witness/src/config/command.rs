//! The command line: subcommands, and a flag for each setting.

use std::ffi::OsString;

use clap::{Arg, ArgAction};
use formats::Origin;
use serve::config::{ClockWords, Refusal, Values, clock_command, subcommand};

use super::{Config, SOURCES};

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    Serve(Box<Config>),
    Fsck { config: Box<Config> },
    Trust { config: Box<Config>, origin: Origin },
    ClockAccept { config: Box<Config> },
}

/// Reads the arguments, the file they name and the environment.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Command, Refusal> {
    let matches = command_line().try_get_matches_from(arguments)?;
    let (name, matches) = subcommand(&matches);
    let values = Values::read(&SOURCES, matches, &variable)?;
    let config = Box::new(Config::new(&values.settings()?, &variable)?);
    Ok(match name {
        "fsck" => Command::Fsck { config },
        "trust" => {
            let origin = matches.get_one::<Origin>("origin").cloned();
            Command::Trust { config, origin: origin.expect("clap requires it") }
        }
        "clock" => Command::ClockAccept { config },
        _ => Command::Serve(config),
    })
}

const CLOCK: ClockWords = ClockWords {
    program: "cairn-witness",
    server: "witness",
    signature: "cosignature of the same log",
};

fn command_line() -> clap::Command {
    let offline = |name: &'static str, about: &'static str| {
        let keys = ["data_dir", "logs_dir", "cache_bytes", "allow_group_readable_keys"];
        let flags = SOURCES.flags(|key| keys.contains(&key));
        clap::Command::new(name).about(about).args(flags)
    };
    let origin = Arg::new("origin").value_name("ORIGIN").required(true).action(ArgAction::Set);
    let origin = origin.help("The log's origin").value_parser(clap::value_parser!(Origin));
    clap::Command::new("cairn-witness")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A witness: cosigns the heads of logs that it has seen grow (c2sp.org/tlog-witness)")
        .args_conflicts_with_subcommands(true)
        .after_help("Examples:\n  cairn-witness --name a.example/witness --data-dir data")
        .args(SOURCES.flags(|_| true))
        .subcommand(
            clap::Command::new("serve")
                .about("Witnesses the logs (the default)")
                .args(SOURCES.flags(|_| true)),
        )
        .subcommand(
            offline(
                "fsck",
                "Reads and verifies everything stored: 0 clean, 1 damaged, 2 could not run",
            )
            .after_help("Examples:\n  cairn-witness fsck --data-dir data"),
        )
        .subcommand(
            offline(
                "trust",
                "Trusts a log again despite the evidence, and by whatever keys its file has now",
            )
            .after_help(
                "The witness must be stopped: its store has one user. What is decided here holds from the \
                 next start on; the evidence stays served.\n\n\
                 Examples:\n  cairn-witness trust --data-dir data example.com/log",
            )
            .arg(origin),
        )
        .subcommand(clock_command(&SOURCES, CLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, Refusal> {
        let arguments = std::iter::once("cairn-witness").chain(arguments.iter().copied());
        let home = |name: &str| (name == "HOME").then(|| "/home/a".to_owned());
        parse(arguments.map(OsString::from), home)
    }

    #[test]
    fn serving_is_the_default() {
        let arguments = ["--listen", "127.0.0.1:0", "--logs-dir", "/l", "--name", "example.com/w"];
        let Ok(Command::Serve(config)) = parsed(&arguments) else {
            panic!("flags of serve are taken without its name");
        };
        assert_eq!(config.port.listen.to_string(), "127.0.0.1:0");
        assert_eq!(config.logs_dir, std::path::Path::new("/l"));
        assert_eq!(config.name.as_deref(), Some("example.com/w"));
        assert!(matches!(parsed(&["serve"]), Ok(Command::Serve(_))));
        assert!(matches!(parsed(&["fsck", "--data-dir", "/d"]), Ok(Command::Fsck { .. })));
        for accept in
            [["clock", "accept", "--data-dir", "/d"], ["clock", "--data-dir", "/d", "accept"]]
        {
            let Ok(Command::ClockAccept { config }) = parsed(&accept) else {
                panic!("clock accept takes a folder");
            };
            assert_eq!(config.data_dir, std::path::Path::new("/d"));
        }
        let trust = parsed(&["trust", "example.com/log"]);
        assert!(
            matches!(trust, Ok(Command::Trust { origin, .. }) if origin.as_str() == "example.com/log")
        );
    }

    #[test]
    fn what_is_unknown_or_missing_is_refused() {
        for arguments in [
            &["--no-such"][..],
            &["fsck", "--listen", "127.0.0.1:0"],
            &["trust"],
            &["trust", ""],
            &["clock"],
            &["clock", "accept", "now"],
            &["clock", "accept", "--listen", "127.0.0.1:0"],
            &["--logs-poll-ms", "0"],
        ] {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
    }
}
