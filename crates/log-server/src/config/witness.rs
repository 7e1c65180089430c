//! The settings of witnessing: which policy belongs to which log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use base::error::chain;
use clap::{Arg, ArgAction, ArgMatches};
use formats::Policy;
use formats::policy::POLICY_BYTES_MAX;
use serve::config::{ConfigError, Origin, Values};

use crate::witnesses::HttpWitnesses;
use log_core::witness::{LogPolicy, OnQuorumLoss, WitnessSettings};
use storage::LogName;

/// The keys under `[logs.NAME]`.
pub(super) const LOG_KEYS: &[&str] = &["policy", "on_quorum_loss"];

/// How the logs of a process are witnessed.
#[derive(Clone, Debug)]
pub struct WitnessConfig {
    pub policies: BTreeMap<LogName, LogPolicy>,
    pub settings: WitnessSettings,
    /// How long one call to a witness may take.
    pub timeout: Duration,
    pub accept_unwitnessed_start: bool,
    /// Witnesses that are not believed, by their names in the policies.
    pub distrusted: BTreeSet<String>,
}

/// Values of flags that may stand more than once.
#[derive(Clone, Debug, Default)]
pub struct WitnessFlags {
    policies: Vec<String>,
    distrusted: Vec<String>,
}

impl WitnessFlags {
    pub(super) fn args() -> [Arg; 2] {
        let policy = Arg::new("policy")
            .long("policy")
            .value_name("LOG=FILE")
            .action(ArgAction::Append)
            .help("Who witnesses a log (c2sp.org/tlog-policy, with addresses). May stand again.");
        let distrust = Arg::new("distrust_witness")
            .long("distrust-witness")
            .value_name("NAME")
            .action(ArgAction::Append)
            .help("Do not believe what this witness says without a signed checkpoint, at start.");
        [policy, distrust]
    }

    pub(super) fn of(matches: &ArgMatches) -> Self {
        let all = |name: &str| {
            let values = matches.try_get_many::<String>(name).ok().flatten();
            values.into_iter().flatten().cloned().collect()
        };
        Self { policies: all("policy"), distrusted: all("distrust_witness") }
    }
}

impl WitnessConfig {
    pub(super) fn new(values: &Values, flags: &WitnessFlags) -> Result<Self, ConfigError> {
        Ok(Self {
            policies: policies(values, flags)?,
            settings: WitnessSettings {
                grace: values.millis("witness_grace_ms"),
                quorum_timeout: values.millis("quorum_timeout_ms"),
                interval_min: values.millis("witness_interval_min_ms"),
                pause_max: values.millis("witness_pause_max_ms"),
                quarantine: values.millis("witness_quarantine_ms"),
            },
            timeout: values.millis("witness_timeout_ms"),
            accept_unwitnessed_start: values.flag("accept_unwitnessed_start"),
            distrusted: flags.distrusted.iter().cloned().collect(),
        })
    }
}

/// The policies of the file, then those of the flags, which win.
fn policies(
    values: &Values,
    flags: &WitnessFlags,
) -> Result<BTreeMap<LogName, LogPolicy>, ConfigError> {
    let mut tables = values.tables("logs");
    let bad = |found: &str, origin, expected: &str| ConfigError::BadValue {
        key: "policy",
        found: found.to_owned(),
        origin,
        expected: expected.to_owned(),
    };
    for flag in &flags.policies {
        let (log, file) =
            flag.split_once('=').ok_or_else(|| bad(flag, Origin::Flag, "LOG=FILE"))?;
        tables.entry(log.to_owned()).or_default().insert("policy".to_owned(), file.to_owned());
    }
    let mut policies = BTreeMap::new();
    for (log, keys) in tables {
        let name = LogName::new(&log).map_err(|_| bad(&log, Origin::File, "under a log's name"))?;
        let on_quorum_loss = on_quorum_loss(keys.get("on_quorum_loss"))?;
        let Some(file) = keys.get("policy") else { continue };
        policies.insert(name, policy(Path::new(file), on_quorum_loss)?);
    }
    Ok(policies)
}

fn on_quorum_loss(value: Option<&String>) -> Result<OnQuorumLoss, ConfigError> {
    match value.map(String::as_str) {
        None | Some("wait") => Ok(OnQuorumLoss::Wait),
        Some("publish_unwitnessed") => Ok(OnQuorumLoss::PublishUnwitnessed),
        Some(other) => Err(ConfigError::BadValue {
            key: "on_quorum_loss",
            found: other.to_owned(),
            origin: Origin::File,
            expected: "\"wait\" or \"publish_unwitnessed\"".to_owned(),
        }),
    }
}

fn policy(file: &Path, on_quorum_loss: OnQuorumLoss) -> Result<LogPolicy, ConfigError> {
    let read = |source| ConfigError::Read { path: file.to_owned(), source };
    let bytes = std::fs::metadata(file).map_err(read)?.len();
    let contents = |source| ConfigError::Contents { path: file.to_owned(), source };
    if usize::try_from(bytes).map_or(true, |bytes| bytes > POLICY_BYTES_MAX) {
        return Err(contents(format!("a policy has at most {POLICY_BYTES_MAX} bytes").into()));
    }
    let text = std::fs::read(file).map_err(read)?;
    let policy = Policy::parse(&text).map_err(|error| contents(chain(&error).into()))?;
    LogPolicy::new::<HttpWitnesses>(policy, on_quorum_loss).map_err(|error| contents(error.into()))
}

#[cfg(test)]
mod tests {
    use formats::{KeyName, PrivateKey};

    use super::super::{TABLE, parse};
    use super::*;
    use crate::config::Command;

    fn policy_text(url: &str) -> String {
        let key = PrivateKey::cosigner_ed25519(KeyName::new("w.example").unwrap(), &[1; 32]);
        format!("witness w {} {url}\nquorum w\n", key.verifier_key())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn of(toml: &str, flags: &[&str]) -> Result<WitnessConfig, ConfigError> {
        let mut values = Values::new(&TABLE);
        values.read_text(Path::new("a.toml"), toml)?;
        let policies = flags.iter().map(|&flag| flag.to_owned()).collect();
        WitnessConfig::new(&values, &WitnessFlags { policies, distrusted: Vec::new() })
    }

    #[test]
    fn logs_get_their_policies_from_the_file_and_from_flags() {
        let policy = file(&policy_text("http://127.0.0.1:1"));
        let path = policy.path().display().to_string();
        let toml = format!(
            "[logs.a]\npolicy = {path:?}\non_quorum_loss = \"publish_unwitnessed\"\n[logs.b]\n"
        );
        let config = of(&toml, &[&format!("c={path}")]).unwrap();
        let names: Vec<&str> = config.policies.keys().map(LogName::as_str).collect();
        assert_eq!(names, ["a", "c"]);
        let of_log = |name| config.policies[&LogName::new(name).unwrap()].on_quorum_loss();
        assert_eq!(of_log("a"), OnQuorumLoss::PublishUnwitnessed);
        assert_eq!(of_log("c"), OnQuorumLoss::Wait);

        let arguments = ["cairn-server", "--policy", &format!("d={path}"), "--policy"];
        let more = [format!("e={path}"), "--distrust-witness".to_owned(), "w".to_owned()];
        let arguments = arguments.map(str::to_owned).into_iter().chain(more);
        let home = |name: &str| (name == "HOME").then(|| "/home/a".to_owned());
        let Ok(Command::Serve(config)) = parse(arguments.map(Into::into), home) else {
            panic!("the flags of witnessing are taken");
        };
        assert_eq!(config.witness.policies.len(), 2);
        assert!(config.witness.distrusted.contains("w"));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let refused = |text: &str| {
            let policy = file(text);
            let path = policy.path().display().to_string();
            let error = of("", &[&format!("a={path}")]).unwrap_err().to_string();
            error.replace(&path, "FILE")
        };
        insta::assert_snapshot!(
            refused(&policy_text("")),
            @"FILE: the witnesses that have an address do not form the quorum: give more of them one"
        );
        insta::assert_snapshot!(
            refused(&policy_text("witness.example")),
            @r#"FILE: witness w: witness address "witness.example" is not of the form http[s]://HOST[:PORT][/PATH]"#
        );
        insta::assert_snapshot!(
            refused("quorum q\n"),
            @"FILE: line 1 of a policy is refused: names q, which no line above defines"
        );
        let error = |toml: &str, flags: &[&str]| of(toml, flags).unwrap_err().to_string();
        insta::assert_snapshot!(
            error("", &["a"]),
            @r#"policy is "a" in a flag, it must be LOG=FILE"#
        );
        insta::assert_snapshot!(
            error("[logs.a]\non_quorum_loss = \"ignore\"", &[]),
            @r#"on_quorum_loss is "ignore" in the configuration file, it must be "wait" or "publish_unwitnessed""#
        );
        insta::assert_snapshot!(
            error("[logs.A]\npolicy = \"x\"", &[]),
            @r#"policy is "A" in the configuration file, it must be under a log's name"#
        );
        assert!(error("[logs.a]\npolicy = \"/no/such\"", &[]).starts_with("/no/such: "));
    }
}
