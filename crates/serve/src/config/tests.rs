//! The settings of a small binary: every kind of value, from every origin.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Args as _;
use serde::Deserialize;

use super::*;

const SOURCES: Sources = Sources {
    args: Settings::augment_args,
    environment: "A_",
    read_elsewhere: &["A_LOG", "A_B_"],
    example: "a.example.toml",
};

#[derive(Clone, Debug, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1")]
    listen: Address,
    /// Anywhere.
    #[arg(long, default_value = "false")]
    insecure_listen: Switch,
    /// What.
    #[arg(long, value_name = "DIR", default_value = "")]
    data_dir: Text,
    /// How many.
    /// Not more.
    #[arg(long, value_name = "N", default_value = "2")]
    a_max: Bounded<1, 5>,
    #[command(flatten)]
    port: PortSettings,
    #[command(flatten)]
    connections: ConnectionSettings,
    /// How long.
    #[arg(long, value_name = "TIME", default_value = "1d")]
    wait_max: Span,
    /// How soon.
    #[arg(long, value_name = "N", default_value = "7")]
    pause_ms: Millis<1>,
    /// With whom.
    #[arg(long, value_name = "TEXT", action = clap::ArgAction::Append, default_value = "")]
    peer: Text,
    /// Which, by name.
    #[arg(long, hide = true, default_value = "{}")]
    parts: Inline<BTreeMap<String, Part>>,
    /// Which, in order.
    #[arg(long, hide = true, default_value = "[]")]
    steps: Inline<Vec<Step>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of file, mode and rate")]
struct Part {
    file: Option<String>,
    mode: Mode,
    rate: Option<Bounded<1, 9>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Slow,
    VeryFast,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    issuer: Text,
    #[serde(default)]
    roles: BTreeMap<String, Vec<Text>>,
}

fn home(name: &str) -> Option<String> {
    (name == "HOME").then(|| "/home/a".to_owned())
}

fn defaults() -> Settings {
    Values::new(&SOURCES).settings().unwrap()
}

fn of_file(text: &str) -> Result<Settings, ConfigError> {
    let mut values = Values::new(&SOURCES);
    values.read_text(Path::new("a.toml"), text)?;
    values.settings()
}

fn of_variable(name: &str, text: &str) -> Result<Settings, ConfigError> {
    let mut values = Values::new(&SOURCES);
    values.read_environment(|read| (read == name).then(|| text.to_owned()));
    values.settings()
}

fn of_flags(flags: &[&str]) -> Result<Settings, Refusal> {
    let command = clap::Command::new("a").args(SOURCES.flags(|_| true));
    let matches = command.try_get_matches_from([&["a"], flags].concat())?;
    let mut values = Values::new(&SOURCES);
    values.read_flags(&matches);
    Ok(values.settings()?)
}

fn error(text: &str) -> String {
    of_file(text).unwrap_err().to_string()
}

#[test]
fn later_sources_win() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let text = "a_max = 1\npause_ms = 1\npeer = \"x\"\nwait_max = \"1s\"";
    #[expect(clippy::disallowed_methods, reason = "a file of a test")]
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let read = |flags: &[&str], config: Option<&str>| {
        let command = clap::Command::new("a").args(SOURCES.flags(|_| true));
        let matches = command.get_matches_from([&["a"], flags].concat());
        let variable = |name: &str| match name {
            "A_CONFIG" => config.map(str::to_owned),
            "A_PAUSE_MS" | "A_A_MAX" => Some("3".to_owned()),
            _ => None,
        };
        let settings: Settings =
            Values::read(&SOURCES, &matches, variable).unwrap().settings().unwrap();
        let (a_max, pause) = (settings.a_max.get(), settings.pause_ms.millis().as_millis());
        let peer = settings.peer.get().map(ToOwned::to_owned);
        (a_max, pause, peer, settings.wait_max.get().as_secs())
    };
    let flags = ["--a-max", "5", "--peer", "y", "--peer", "z"];
    let with_file = [&["--config", file], &flags[..]].concat();
    assert_eq!(read(&with_file, None), (5, 3, Some("y z".to_owned()), 1));
    assert_eq!(read(&[], Some(file)), (3, 3, Some("x".to_owned()), 1));
    assert_eq!(read(&flags, None), (5, 3, Some("y z".to_owned()), 86_400));
    assert_eq!(defaults().a_max.get(), 2);
}

/// Each kind at its limits and beyond them: with its key, as it stands in a file (a native value, or
/// the text), in the environment, and as a flag.
#[test]
fn every_kind_is_taken_up_to_its_limits_from_every_origin() {
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("a_max", &["1", "5"], &["0", "6", "-1", "x", ""]),
        ("pause_ms", &["1", "3600000"], &["0", "3600001"]),
        ("drain_ms", &["0", "3600000"], &["3600001"]),
        ("connections_max", &["1", "1000000"], &["0", "1000001"]),
        ("wait_max", &["1s", "36500d"], &["0s", "36501d", "86400"]),
        ("insecure_listen", &["true", "false"], &["1", "yes", ""]),
        ("listen", &["127.0.0.1:0", "localhost:65535"], &["localhost", "localhost:65536"]),
    ];
    for (key, good, bad) in cases {
        let flag = format!("--{}", key.replace('_', "-"));
        let variable = format!("A_{}", key.to_uppercase());
        for text in good {
            assert!(of_file(&format!("{key} = {text:?}")).is_ok(), "{key} {text}");
            assert!(of_variable(&variable, text).is_ok(), "{key} {text}");
            assert!(of_flags(&[&format!("{flag}={text}")]).is_ok(), "{key} {text}");
            if text.parse::<toml::Value>().is_ok() {
                assert!(of_file(&format!("{key} = {text}")).is_ok(), "{key} {text}");
            }
        }
        for text in bad {
            let told = error(&format!("{key} = {text:?}"));
            let expected = format!("{key} is {text:?} in a.toml, it must be ");
            assert!(told.starts_with(&expected), "{told}");
            if text.parse::<toml::Value>().is_ok() {
                assert_eq!(error(&format!("{key} = {text}")), told);
            }
            let told = of_variable(&variable, text).unwrap_err().to_string();
            let expected = format!("{key} is {text:?} in the variable {variable}, it must be ");
            assert!(told.starts_with(&expected), "{told}");
            let told = of_flags(&[&format!("{flag}={text}")]).unwrap_err().to_string();
            assert!(told.contains(&format!(" for '{flag}")), "{told}");
        }
    }
}

#[test]
fn refusals_say_what_is_wrong_and_where() {
    insta::assert_snapshot!(error("b_max = 1"), @"a.toml: unknown key b_max: a.example.toml lists the known keys");
    insta::assert_snapshot!(error("a_max = 6"), @r#"a_max is "6" in a.toml, it must be a number from 1 to 5"#);
    insta::assert_snapshot!(error("a_max = [1]"), @r#"a_max is "[1]" in a.toml, it must be a number from 1 to 5"#);
    insta::assert_snapshot!(error("wait_max = 86400"), @r#"wait_max is "86400" in a.toml, it must be a number with s, m, h or d behind it, from 1s to 36500d"#);
    insta::assert_snapshot!(error("listen = \"localhost\""), @r#"listen is "localhost" in a.toml, it must be an address or a host's name, and a port"#);
    insta::assert_snapshot!(error("insecure_listen = 1"), @r#"insecure_listen is "1" in a.toml, it must be true or false"#);
    insta::assert_snapshot!(error("port = 1"), @"a.toml: unknown key port: a.example.toml lists the known keys");
    insta::assert_snapshot!(of_variable("A_A_MAX", "6").unwrap_err(), @r#"a_max is "6" in the variable A_A_MAX, it must be a number from 1 to 5"#);
    insta::assert_snapshot!(of_flags(&["--a-max", "6"]).unwrap_err(), @r#"
error: invalid value '6' for '--a-max <N>': it must be a number from 1 to 5

For more information, try '--help'.
"#);
    insta::assert_snapshot!(of_flags(&["--insecure-listen=1"]).unwrap_err(), @r#"
error: invalid value '1' for '--insecure-listen[=<insecure_listen>]'
  [possible values: true, false]

For more information, try '--help'.
"#);
    assert!(error("a_max = ").starts_with("a.toml: "));
    for unknown in ["--b-max", "--parts", "--port"] {
        assert!(of_flags(&[unknown, "1"]).is_err(), "{unknown}");
    }
    // The flag's name, where the value did not come from the command line.
    let mut values = Values::new(&SOURCES);
    values.set("a_max", "6").unwrap();
    insta::assert_snapshot!(values.settings::<Settings>().unwrap_err(), @r#"a_max is "6" in the flag --a-max, it must be a number from 1 to 5"#);
    assert!(values.set("b_max", "6").is_err());
}

#[test]
fn a_switch_is_on_where_its_flag_stands_alone() {
    assert!(of_flags(&["--insecure-listen"]).unwrap().insecure_listen.get());
    assert!(!of_flags(&["--insecure-listen=false"]).unwrap().insecure_listen.get());
    assert!(!of_flags(&[]).unwrap().insecure_listen.get());
}

#[test]
fn tables_and_lists_have_types_inside() {
    assert!(defaults().parts.0.is_empty() && defaults().steps.0.is_empty());
    let text = "[parts.a]\nfile = \"x\"\nmode = \"very_fast\"\nrate = 9\n[parts.b-c]\n\
                [[steps]]\nissuer = \"i\"\n[steps.roles]\nr = [\"s\", \"t\"]\n";
    let Settings { parts: Inline(parts), steps: Inline(steps), .. } = of_file(text).unwrap();
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["a", "b-c"]);
    assert_eq!((parts["a"].file.as_deref(), parts["a"].mode), (Some("x"), Mode::VeryFast));
    assert_eq!((parts["a"].rate.map(Bounded::get), parts["b-c"].mode), (Some(9), Mode::Slow));
    assert_eq!((steps[0].issuer.get(), steps[0].roles["r"][1].get()), (Some("i"), Some("t")));

    let inline = of_variable("A_PARTS", "{ a = { file = \"y\" } }").unwrap();
    assert_eq!(inline.parts.0["a"].file.as_deref(), Some("y"));
    insta::assert_snapshot!(of_variable("A_PARTS", "x").unwrap_err(), @r#"parts is "x" in the variable A_PARTS, it must be tables by name"#);
    insta::assert_snapshot!(of_variable("A_PARTS", "{ a = { files = 1 } }").unwrap_err(), @"the variable A_PARTS: unknown key parts.a.files: a.example.toml lists the known keys");
}

#[test]
fn what_does_not_fit_inside_a_table_is_told_with_its_path() {
    insta::assert_snapshot!(error("[parts.a]\nfiles = \"x\""), @"a.toml: unknown key parts.a.files: a.example.toml lists the known keys");
    insta::assert_snapshot!(error("[parts.a]\nfile = 1"), @r#"parts.a.file is "1" in a.toml, it must be a string"#);
    insta::assert_snapshot!(error("[parts.a]\nrate = 10"), @r#"parts.a.rate is "10" in a.toml, it must be a number from 1 to 9"#);
    insta::assert_snapshot!(error("[parts.a]\nmode = \"fast\""), @r#"parts.a.mode is "fast" in a.toml, it must be "slow" or "very_fast""#);
    insta::assert_snapshot!(error("[parts.a]\nmode = 1"), @r#"parts.a.mode is "1" in a.toml, it must be "slow" or "very_fast""#);
    insta::assert_snapshot!(error("parts = 1"), @r#"parts is "1" in a.toml, it must be tables by name"#);
    insta::assert_snapshot!(error("[parts]\nfile = \"x\""), @r#"parts.file is "x" in a.toml, it must be a table of file, mode and rate"#);
    insta::assert_snapshot!(error("steps = {}"), @r#"steps is "{}" in a.toml, it must be a list"#);
    insta::assert_snapshot!(error("[[steps]]\nissuer = \"i\"\n[[steps]]\n"), @"a.toml: steps[1] needs the key issuer");
    insta::assert_snapshot!(error("[[steps]]\nissuer = \"i\"\nroles.r = [\"s\", {}]"), @r#"steps[0].roles.r[1] is "{}" in a.toml, it must be a text"#);
}

#[test]
fn a_path_of_keys_that_is_set_by_itself_has_its_own_origin() {
    let mut values = Values::new(&SOURCES);
    values.read_text(Path::new("a.toml"), "[parts.a]\nmode = \"fast\"").unwrap();
    values.insert(&["parts", "b", "rate"], "10", Origin::Flag("rate".to_owned()));
    let told = values.settings::<Settings>().unwrap_err().to_string();
    assert!(told.starts_with("parts.a.mode is \"fast\" in a.toml"), "{told}");
    values.insert(&["parts", "a", "mode"], "slow", Origin::Flag("mode".to_owned()));
    insta::assert_snapshot!(values.settings::<Settings>().unwrap_err(), @r#"parts.b.rate is "10" in the flag --rate, it must be a number from 1 to 9"#);
    values.insert(&["parts", "b", "rate"], "9", Origin::Flag("rate".to_owned()));
    let settings: Settings = values.settings().unwrap();
    assert_eq!(settings.parts.0["b"].rate.map(Bounded::get), Some(9));

    // A value in the way is left, and refused.
    values.read_text(Path::new("a.toml"), "parts = 1").unwrap();
    values.insert(&["parts", "b", "rate"], "9", Origin::Flag("rate".to_owned()));
    assert!(values.settings::<Settings>().is_err());
}

#[test]
fn the_example_shows_every_setting() {
    let example = SOURCES.example_settings::<Settings>();
    assert!(example.starts_with("# Where.\n#= listen = \"127.0.0.1:1\"\n\n# Anywhere.\n"));
    assert!(example.contains("# How many. Not more. From 1 to 5.\n#= a_max = 2\n"), "{example}");
    assert!(example.contains(" unless set. From 0 to 3600000.\n#= drain_ms = 3000\n"));
    assert!(example.contains("# How long.\n#= wait_max = \"1d\"\n"));
    assert!(example.contains("# With whom.\n#= peer = \"\"\n"));
    assert!(example.ends_with("# Which, in order.\n#= steps = []\n"));
    assert!(of_file(&example.replace("#= ", "")).is_ok());
}

#[test]
fn an_open_address_needs_consent() {
    let of = |text: &str| {
        let settings = of_file(text).unwrap();
        Listen::new(&settings.listen, settings.insecure_listen, "nothing is encrypted")
    };
    insta::assert_snapshot!(of("listen = \"0.0.0.0:1\"").unwrap_err(), @"listen is 0.0.0.0:1, which other machines can reach, and nothing is encrypted: use a loopback address, or accept it with --insecure-listen");
    assert!(of("listen = \"0.0.0.0:1\"\ninsecure_listen = true").is_ok());
    assert!(of("listen = \"log.example:1\"").is_ok(), "looked up later");
}

#[test]
fn a_port_that_others_reach_drains_and_one_on_loopback_only_if_it_is_set() {
    let drain = |address: &str, text: &str| {
        let settings = of_file(text).unwrap();
        let listen = Listen::new(&address.parse().unwrap(), settings.insecure_listen, "").unwrap();
        PortConfig::new(listen, &settings.connections, &settings.port).drain
    };
    let consent = "insecure_listen = true\n";
    let set = format!("{consent}drain_ms = 20");
    for (near, text) in [("127.0.0.1:1", consent), ("host:1", "")] {
        assert_eq!(drain(near, text), Duration::ZERO);
        assert_eq!(drain(near, &format!("{text}drain_ms = 20")).as_millis(), 20);
    }
    for far in ["192.0.2.1:1", "host:1"] {
        assert_eq!(drain(far, consent).as_millis(), 3_000);
        assert_eq!(drain(far, &set).as_millis(), 20);
    }
    // Set to what is the default.
    assert_eq!(drain("127.0.0.1:1", "drain_ms = 3000").as_millis(), 3_000);
}

#[test]
fn folders_have_a_default() {
    let (unset, given) = (defaults().data_dir, of_file("data_dir = \"/d\"").unwrap().data_dir);
    assert_eq!(data_dir(&unset, "a", home).unwrap(), Path::new("/home/a/.local/share/a"));
    let xdg = |name: &str| (name == "XDG_DATA_HOME").then(|| "/x".to_owned());
    assert_eq!(data_dir(&unset, "a", xdg).unwrap(), Path::new("/x/a"));
    assert_eq!(data_dir(&given, "a", home).unwrap(), Path::new("/d"));
    insta::assert_snapshot!(
        data_dir(&unset, "a", |_| None).unwrap_err(),
        @"data_dir is not set, and neither XDG_DATA_HOME nor HOME is: use --data-dir DIR"
    );
}

#[test]
fn variables_that_are_not_utf8_are_refused_where_they_are_read() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let check = |name: &str, value: &[u8]| {
        let variable = (OsString::from(name), OsString::from_vec(value.to_vec()));
        SOURCES.check_utf8([variable]).map_err(|error| error.to_string())
    };
    for name in ["A_DATA_DIR", "A_CONFIG", "HOME", "XDG_DATA_HOME"] {
        assert_eq!(check(name, "/é".as_bytes()), Ok(()));
        let refusal = check(name, b"/\xe9").unwrap_err();
        assert!(refusal.contains(name) && refusal.contains("symbolic link"), "{refusal}");
    }
    assert_eq!(check("B_DATA_DIR", b"/\xe9"), Ok(()), "another program's");
}

#[test]
fn variables_that_look_like_settings_are_found() {
    let names =
        ["A_A_MAX", "A_PARTS", "A_DRAIN_MS", "A_CONFIG", "A_LOG", "A_B_A_MAX", "B_A_MAX", "A"];
    let unknown = |names: &[&str]| SOURCES.unknown_variables(names.iter().map(ToString::to_string));
    assert!(unknown(&names).is_empty());
    let misspelt = ["A_A_MIN", "A_a_max", "A_LOGS", "A_B", "A_", "A_PORT"];
    assert_eq!(unknown(&misspelt), misspelt);
}
