//! The settings of witnessing: which policy belongs to which log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use base::error::chain;
use formats::Policy;
use formats::policy::POLICY_BYTES_MAX;
use serve::config::{ConfigError, Origin, Unfit, Values};

use super::{LogKey, Settings};
use crate::witnesses::HttpWitnesses;
use log_core::witness::{LogPolicy, OnQuorumLoss, WitnessSettings};
use storage::LogName;

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

/// Flags that are no keys of the file. Each may stand more than once.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct WitnessFlags {
    #[arg(
        long,
        value_name = "LOG=FILE",
        help = "Who witnesses a log (c2sp.org/tlog-policy, with addresses). May stand again."
    )]
    policy: Vec<PolicyFlag>,
    #[arg(
        long,
        value_name = "NAME",
        help = "Do not believe what this witness says without a signed checkpoint, at start."
    )]
    distrust_witness: Vec<String>,
}

impl WitnessFlags {
    /// Sets the policies, which win over those of the file.
    pub(super) fn set(&self, values: &mut Values) {
        for PolicyFlag { log, file } in &self.policy {
            let origin = Origin::Flag("policy".to_owned());
            values.insert(&["logs", log.as_str(), "policy"], file, origin);
        }
    }

    pub(super) fn distrusted(self) -> BTreeSet<String> {
        self.distrust_witness.into_iter().collect()
    }
}

/// `LOG=FILE`.
#[derive(Clone, Debug)]
struct PolicyFlag {
    log: LogName,
    file: String,
}

impl FromStr for PolicyFlag {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let parts = text.split_once('=');
        let parts = parts.and_then(|(log, file)| Some((LogName::new(log).ok()?, file.to_owned())));
        let unfit = || Unfit { expected: "LOG=FILE, with a log's name".to_owned() };
        parts.map(|(log, file)| Self { log, file }).ok_or_else(unfit)
    }
}

impl WitnessConfig {
    pub(super) fn new(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            policies: policies(settings)?,
            settings: WitnessSettings {
                grace: settings.witness_grace_ms.millis(),
                quorum_timeout: settings.quorum_timeout_ms.millis(),
                interval_min: settings.witness_interval_min_ms.millis(),
                pause_max: settings.witness_pause_max_ms.millis(),
                quarantine: settings.witness_quarantine_ms.millis(),
            },
            timeout: settings.witness_timeout_ms.millis(),
            accept_unwitnessed_start: settings.accept_unwitnessed_start.get(),
            distrusted: BTreeSet::new(),
        })
    }
}

fn policies(settings: &Settings) -> Result<BTreeMap<LogName, LogPolicy>, ConfigError> {
    let mut policies = BTreeMap::new();
    for (LogKey(log), settings) in &settings.logs.0 {
        if let Some(file) = &settings.policy {
            policies.insert(log.clone(), policy(Path::new(file), settings.on_quorum_loss)?);
        }
    }
    Ok(policies)
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

    use serve::config::Refusal;

    use super::super::{Config, SOURCES, parse};
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
        let mut values = Values::new(&SOURCES);
        values.read_text(Path::new("a.toml"), toml)?;
        let policy = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        WitnessFlags { policy, ..WitnessFlags::default() }.set(&mut values);
        WitnessConfig::new(&values.settings()?)
    }

    fn parsed(flags: &[&str]) -> Result<Box<Config>, Refusal> {
        let arguments = ["cairn-server"].iter().chain(flags).map(Into::into);
        let home = |name: &str| (name == "HOME").then(|| "/home/a".to_owned());
        match parse(arguments, home)? {
            Command::Serve(config) => Ok(config),
            other => panic!("the flags of witnessing are of serve: {other:?}"),
        }
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

        let flags = ["--policy", &format!("d={path}"), "--policy", &format!("e={path}")];
        let flags = [&flags[..], &["--distrust-witness", "w"]].concat();
        for flags in [flags.clone(), [&["serve"], &flags[..]].concat()] {
            let config = parsed(&flags).unwrap();
            assert_eq!(config.witness.policies.len(), 2);
            assert!(config.witness.distrusted.contains("w"));
        }

        // A flag's policy takes the place of the file's, and leaves what else the file says.
        let toml = toml.replace(&path, "/no/such");
        let config = of(&toml, &[&format!("a={path}")]).unwrap();
        let log = LogName::new("a").unwrap();
        assert_eq!(config.policies[&log].on_quorum_loss(), OnQuorumLoss::PublishUnwitnessed);
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
        insta::assert_snapshot!(error("[logs.a]\non_quorum_loss = \"ignore\"", &[]), @r#"logs.a.on_quorum_loss is "ignore" in a.toml, it must be "wait" or "publish_unwitnessed""#);
        insta::assert_snapshot!(error("[logs.A]\npolicy = \"x\"", &[]), @r#"logs.A is "A" in a.toml, it must be a log's name: 1 to 64 of a-z, 0-9 and -, and no - in front"#);
        insta::assert_snapshot!(error("[logs.a]\npolice = \"x\"", &[]), @"a.toml: unknown key logs.a.police: deploy/cairn-server.toml lists the known keys");
        insta::assert_snapshot!(error("[logs.a]\npolicy = 1", &[]), @r#"logs.a.policy is "1" in a.toml, it must be a string"#);
        insta::assert_snapshot!(error("logs.a = 1", &[]), @r#"logs.a is "1" in a.toml, it must be a table of policy and on_quorum_loss"#);
        for flag in ["a", "A=x", "=x"] {
            let told = parsed(&["--policy", flag]).unwrap_err().to_string();
            let expected =
                format!("invalid value '{flag}' for '--policy <LOG=FILE>': it must be LOG=FILE");
            assert!(told.contains(&expected), "{told}");
        }
        assert!(error("[logs.a]\npolicy = \"/no/such\"", &[]).starts_with("/no/such: "));
    }
}
