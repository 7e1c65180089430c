//! The command line: subcommands, and a flag for each setting.

use std::ffi::OsString;
use std::path::PathBuf;

use audit_event::Tag;
use clap::{Arg, ArgAction, ArgMatches, Args as _, FromArgMatches as _};
use merkle::LeafIndex;
use serve::config::{ClockWords, ConfigError, Refusal, Values, clock_command, subcommand};
use storage_rocksdb::backup::Secrets;

use super::witness::WitnessFlags;
use super::{Config, SOURCES};
use crate::erase::{self, Order};

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    Serve(Box<Config>),
    Fsck { config: Box<Config>, json: bool },
    Backup { config: Box<Config>, out: PathBuf, secrets: Secrets },
    Restore { config: Box<Config>, from: PathBuf, expect: Option<PathBuf> },
    Recover { config: Box<Config> },
    Retire { config: Box<Config>, log: String },
    ClockAccept { config: Box<Config> },
    Erase { config: Box<Config>, order: Order },
}

/// Reads the arguments, the file they name and the environment.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Command, Refusal> {
    let matches = command_line().try_get_matches_from(arguments)?;
    let (name, matches) = subcommand(&matches);
    let mut values = Values::read(&SOURCES, matches, &variable)?;
    // Who appends asks the log's witnesses.
    let appends = ["serve", "erase"].contains(&name);
    let serves = appends.then(|| WitnessFlags::from_arg_matches(matches)).transpose()?;
    let flags = serves.unwrap_or_default();
    flags.set(&mut values);
    let mut config = Box::new(Config::new(&values.settings()?, &variable)?);
    config.witness.distrusted = flags.distrusted();
    let path = |name: &str| matches.get_one::<String>(name).map(PathBuf::from);
    let needed = |name: &'static str| path(name).ok_or(ConfigError::MissingFlag { flag: name });
    Ok(match name {
        "fsck" => Command::Fsck { config, json: matches.get_flag("json") },
        "backup" => {
            let taken = matches.get_flag("with-secrets");
            let secrets = if taken { Secrets::Take } else { Secrets::Leave };
            Command::Backup { config, out: needed("out")?, secrets }
        }
        "restore" => Command::Restore { config, from: needed("from")?, expect: path("expect") },
        "recover" if matches.get_flag("truncate-wal") => Command::Recover { config },
        "recover" => return Err(ConfigError::MissingFlag { flag: "truncate-wal" }.into()),
        "retire" => {
            let log = matches.get_one::<String>("log").cloned().unwrap_or_default();
            Command::Retire { config, log }
        }
        "clock" => Command::ClockAccept { config },
        "erase" => Command::Erase { config, order: order(matches) },
        _ => Command::Serve(config),
    })
}

fn order(matches: &ArgMatches) -> Order {
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let index = matches.get_one::<LeafIndex>("index").copied();
    let blocks = matches.get_many::<Tag>("block").into_iter().flatten().copied();
    Order {
        log: text("log"),
        index: index.expect("an index is required"),
        blocks: blocks.collect(),
        reason: text("reason"),
    }
}

/// The settings of folders and of the database, which every subcommand takes.
const SHARED: [&str; 5] =
    ["data_dir", "heads_dir", "block_cache_bytes", "wal_bytes_max", "memtable_bytes"];

const CLOCK: ClockWords =
    ClockWords { program: "cairn-server", server: "server", signature: "signature" };

fn command_line() -> clap::Command {
    let base = clap::Command::new("cairn-server")
        .version(env!("CARGO_PKG_VERSION"))
        .args_conflicts_with_subcommands(true)
        .after_help("Examples:\n  cairn-server --data-dir data\n  cairn-server serve --data-dir data --read-only");
    let taking = |name: &'static str, about: &'static str, more: &[&str]| {
        let flags = SOURCES.flags(|key| SHARED.contains(&key) || more.contains(&key));
        clap::Command::new(name).about(about).args(flags)
    };
    let offline = |name: &'static str, about: &'static str| taking(name, about, &[]);
    let about = "A transparency log: append over gRPC, prove every entry, verify offline";
    let serve = clap::Command::new("serve");
    serving(base, about)
        .subcommand(serving(serve, "Serves the logs (the default)"))
        .subcommand(
            offline(
                "fsck",
                "Re-reads and re-hashes everything: 0 clean, 1 damaged, 2 could not run",
            )
            .arg(
                Arg::new("json")
                    .long("json")
                    .action(ArgAction::SetTrue)
                    .help("Print one JSON object"),
            )
            .after_help("Examples:\n  cairn-server fsck --data-dir data\n  cairn-server fsck --data-dir data --json"),
        )
        .subcommand(
            offline("backup", "Takes a consistent copy of the database")
                .arg(value("out", "DIR", "Where to write it; must not exist").required(true))
                .arg(
                    Arg::new("with-secrets")
                        .long("with-secrets")
                        .action(ArgAction::SetTrue)
                        .help("Copy the secrets of audit logs too: without its own a restored one takes no events"),
                )
                .after_help("Examples:\n  cairn-server backup --data-dir data --out backup-2026-01-31"),
        )
        .subcommand(
            offline("restore", "Puts a backup in place of an absent database, after checking it")
                .arg(value("from", "DIR", "The backup").required(true))
                .arg(value(
                    "expect",
                    "FILE",
                    "The newest checkpoint anyone knows: older data is refused",
                ))
                .after_help(
                    "Examples:\n  cairn-server restore --data-dir restored --from backup-2026-01-31 \
                     --expect newest.checkpoint",
                ),
        )
        .subcommand(recover_command(taking("recover", "", &["adopt_journal"])))
        .subcommand(
            offline("retire", "Gives up a log for good: it is read, and signs nothing any more")
                .arg(Arg::new("log").value_name("LOG").required(true).help("Its name"))
                .after_help("Examples:\n  cairn-server retire --data-dir data payments"),
        )
        .subcommand(clock_command(&SOURCES, CLOCK))
        .subcommand(erase_command(taking("erase", "", &["allow_group_readable_keys"])))
}

fn recover_command(base: clap::Command) -> clap::Command {
    base.about("Reopens a database whose write-ahead log is corrupt, and says what is lost")
        .arg(
            Arg::new("truncate-wal")
                .long("truncate-wal")
                .action(ArgAction::SetTrue)
                .help("Give up everything from the first corrupt record on"),
        )
        .after_help("Examples:\n  cairn-server recover --data-dir data --truncate-wal")
}

fn erase_command(base: clap::Command) -> clap::Command {
    let required = |name: &'static str, placeholder: &'static str, help: &'static str| {
        Arg::new(name).value_name(placeholder).required(true).help(help)
    };
    let blocks = format!("The blocks: {}", erase::NAMES.join(", "));
    WitnessFlags::augment_args(base)
        .about("Erases blocks of an event for good, and records that in its log")
        .arg(required("log", "LOG", "The audit log"))
        .arg(
            required("index", "INDEX", "The index of the event")
                .value_parser(|text: &str| erase::index_of(text)),
        )
        .arg(
            required("block", "BLOCK", "")
                .help(blocks)
                .num_args(1..)
                .value_parser(|name: &str| erase::block_of(name)),
        )
        .arg(
            value("reason", "TEXT", "Why, without personal details: the log keeps it for good")
                .required(true),
        )
        .after_help(
            "The blocks and their salts are gone from the store's files when the command returns. The event \
             stays provable: its leaf, its place and its time do not change, and the log gets an event \
             privacy.erased that names the event and the blocks. Erasing actor, origin, target, changes or \
             detail takes raw with it, the item as it was received. The running server does it; if none runs, \
             this command does. Backups made before still hold the blocks.\n\n\
             Examples:\n  cairn-server erase --data-dir data trail 17 actor origin --reason 'request 2026-114'\n  \
             cairn-server erase --data-dir data trail 17 core raw --reason 'court order 7'",
        )
}

/// With every flag of a server that serves. The derive takes its own comment for what a command is about.
fn serving(command: clap::Command, about: &'static str) -> clap::Command {
    WitnessFlags::augment_args(command.args(SOURCES.flags(|_| true))).about(about)
}

fn value(name: &'static str, placeholder: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(placeholder).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, Refusal> {
        let arguments = std::iter::once("cairn-server").chain(arguments.iter().copied());
        let home = |name: &str| (name == "HOME").then(|| "/home/a".to_owned());
        parse(arguments.map(OsString::from), home)
    }

    #[test]
    fn serving_is_the_default() {
        let Ok(Command::Serve(config)) = parsed(&["--listen", "127.0.0.1:0", "--read-only"]) else {
            panic!("flags of serve are taken without its name");
        };
        assert!(config.read_only);
        assert_eq!(config.port.listen.to_string(), "127.0.0.1:0");
        assert!(matches!(parsed(&["serve", "--logs-max", "3"]), Ok(Command::Serve(_))));
        assert!(matches!(parsed(&[]), Ok(Command::Serve(_))));
    }

    #[test]
    fn the_help_says_what_a_command_is_about() {
        let about = |arguments: &[&str]| {
            let Err(Refusal::CommandLine(help)) = parsed(arguments) else {
                panic!("help is no command");
            };
            help.to_string().lines().next().map(ToOwned::to_owned).unwrap_or_default()
        };
        assert!(about(&["--help"]).starts_with("A transparency log"));
        assert_eq!(about(&["serve", "--help"]), "Serves the logs (the default)");
        assert!(about(&["clock", "accept", "--help"]).starts_with("Has the running server"));
    }

    #[test]
    fn subcommands_take_the_data_folder() {
        let Ok(Command::Retire { config, log }) = parsed(&["retire", "--data-dir", "/d", "a"])
        else {
            panic!("retire takes a folder and a log");
        };
        assert_eq!((config.data_dir, log.as_str()), (PathBuf::from("/d"), "a"));
        assert!(matches!(parsed(&["fsck"]), Ok(Command::Fsck { json: false, .. })));
        for (flags, expected) in
            [(&[][..], Secrets::Leave), (&["--with-secrets"][..], Secrets::Take)]
        {
            let Ok(Command::Backup { secrets, .. }) =
                parsed(&[&["backup", "--out", "b"], flags].concat())
            else {
                panic!("backup takes a folder");
            };
            assert_eq!(secrets, expected);
        }
        assert!(matches!(parsed(&["recover", "--truncate-wal"]), Ok(Command::Recover { .. })));
        for accept in
            [["clock", "accept", "--data-dir", "/d"], ["clock", "--data-dir", "/d", "accept"]]
        {
            let Ok(Command::ClockAccept { config }) = parsed(&accept) else {
                panic!("clock accept takes a folder");
            };
            assert_eq!(config.data_dir, PathBuf::from("/d"));
        }
    }

    #[test]
    fn an_order_to_erase_names_a_log_an_index_blocks_and_a_reason() {
        let words = ["erase", "audit", "17", "actor", "raw", "--reason", "request 4"];
        let Ok(Command::Erase { order, .. }) = parsed(&words) else { panic!("an order") };
        let blocks = [Tag::Actor, Tag::Raw].into_iter().collect();
        let index = LeafIndex::new(17).unwrap();
        let (log, reason) = ("audit".to_owned(), "request 4".to_owned());
        assert_eq!(order, Order { log, index, blocks, reason });
        assert_eq!(Order::read(&order.words()).unwrap(), order);
        let policy = ["erase", "a", "1", "core", "--reason", "r", "--distrust-witness", "w"];
        let Ok(Command::Erase { config, .. }) = parsed(&policy) else { panic!("an order") };
        assert_eq!(config.witness.distrusted.len(), 1);
    }

    #[test]
    fn what_is_unknown_or_missing_is_refused() {
        for arguments in [
            &["--no-such"][..],
            &["erase", "audit", "17", "actor"],
            &["erase", "audit", "17", "--reason", "r"],
            &["erase", "audit", "--reason", "r"],
            &["erase", "audit", "x", "actor", "--reason", "r"],
            &["erase", "audit", "-1", "actor", "--reason", "r"],
            &["erase", "audit", "9223372036854775808", "actor", "--reason", "r"],
            &["erase", "audit", "17", "who", "--reason", "r"],
            &["fsck", "--listen", "127.0.0.1:0"],
            &["backup"],
            &["recover"],
            &["retire"],
            &["clock"],
            &["clock", "--data-dir", "/d"],
            &["clock", "accept", "--listen", "127.0.0.1:0"],
            &["clock", "accept", "now"],
            &["--logs-max", "0"],
            &["--listen", "nowhere"],
        ] {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
    }
}
