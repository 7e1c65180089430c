//! Parts of the command line that every server here has.

use clap::{ArgMatches, Command};

use super::Table;

/// The name of the command that was chosen, and what was given to it. Without one a server serves.
pub fn chosen(matches: &ArgMatches) -> (&str, &ArgMatches) {
    match matches.subcommand() {
        // Its one subcommand has the flags.
        Some((name, below)) => (name, below.subcommand().map_or(below, |(_, last)| last)),
        None => ("serve", matches),
    }
}

/// The command `clock accept` of the binary `program`. `is` is what the binary is, and `signs` what it never
/// states an earlier time in again.
pub fn clock(table: &Table, program: &str, is: &str, signs: &str) -> Command {
    let accept = Command::new("accept")
        .about(format!("Has the running {is} believe its clock as it stands"))
        .after_help(format!(
            "The {is} says on /readyz why it does not believe the clock. A clock that is wrong needs no \
             command: once it is set right it is believed again. Whoever accepts a wrong one has its time \
             signed, and no {signs} states an earlier time afterwards.\n\n\
             Examples:\n  {program} clock accept --data-dir data"
        ));
    // Before or behind `accept`.
    let flags = table.flags(|key| key == "data_dir").into_iter().map(|flag| flag.global(true));
    Command::new("clock")
        .about(format!("Decides about the clock of the running {is} after it stepped"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(flags)
        .subcommand(accept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    const TABLE: Table = Table {
        settings: &[
            Setting::path("data_dir", "What."),
            Setting::address("listen", "127.0.0.1:1", "Where."),
        ],
        environment: "A_",
        read_elsewhere: &[],
        example: "a.toml",
    };

    fn command_line() -> Command {
        Command::new("a")
            .args_conflicts_with_subcommands(true)
            .args(TABLE.flags(|_| true))
            .subcommand(clock(&TABLE, "a", "server", "signature"))
    }

    #[test]
    fn clock_accept_takes_a_folder_before_or_behind_its_name() {
        for words in
            [["clock", "accept", "--data-dir", "/d"], ["clock", "--data-dir", "/d", "accept"]]
        {
            let matches = command_line().try_get_matches_from(["a"].iter().chain(&words)).unwrap();
            let (name, given) = chosen(&matches);
            assert_eq!(name, "clock");
            assert_eq!(given.get_one::<String>("data_dir").map(String::as_str), Some("/d"));
        }
        let serves = command_line().try_get_matches_from(["a", "--data-dir", "/d"]).unwrap();
        assert_eq!(chosen(&serves).0, "serve");
    }

    #[test]
    fn clock_alone_and_other_flags_are_refused() {
        for words in
            [&["clock"][..], &["clock", "accept", "now"], &["clock", "accept", "--listen", "a:1"]]
        {
            assert!(command_line().try_get_matches_from(["a"].iter().chain(words)).is_err());
        }
    }
}
