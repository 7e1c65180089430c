//! `cairn keygen`: private key files, and the verifier keys that go with them.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use formats::private::SEED_LEN;
use formats::{KeyFile, KeyName, PrivateKey};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::{CliError, Exit};
use crate::files;
use crate::ui::Ui;

const AFTER_HELP: &str = "\
The key file holds one private key a line, Ed25519 first, in the form
PRIVATE+KEY+<name>+<id>+<base64>. It is made with mode 0600 and never overwrites a file. The
verifier keys on stdout are public: they are what auditors pass to --vkey.

Examples:
  cairn keygen --name example.com/audit --out audit.key > audit.vkey
  cairn keygen --kind witness --name witness.example.com/w1 --out w1.key > w1.vkey
  cairn keygen --name example.com/audit --out split.key --split   # and split.key.mldsa";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct KeygenArgs {
    /// The key's name: a log's origin, or the witness's name
    #[arg(long, value_name = "ORIGIN")]
    name: String,
    /// Where to write the private keys
    #[arg(long, value_name = "KEYFILE")]
    out: PathBuf,
    /// Whose keys: a log's and a witness's differ, and a seed is never shared between them
    #[arg(long, value_enum, default_value_t = Kind::Log)]
    kind: Kind,
    /// Write the ML-DSA-44 key to a file of its own, KEYFILE.mldsa
    #[arg(long)]
    split: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Ed25519 for every head, ML-DSA-44 beside it on published checkpoints
    Log,
    /// Ed25519 and ML-DSA-44, both for timestamped cosignatures
    Witness,
}

#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    files: Vec<&'a Path>,
    vkeys: Vec<String>,
}

pub(crate) fn run(args: &KeygenArgs, ui: &Ui) -> Result<Exit, CliError> {
    let name = KeyName::new(&args.name)
        .map_err(|source| CliError::KeyName { name: args.name.clone(), source })?;
    let ml_dsa_seed = seed()?;
    let ml_dsa = PrivateKey::ml_dsa_44(name.clone(), &ml_dsa_seed);
    let keys = [ed25519(args.kind, name)?, ml_dsa];
    let vkeys = keys.iter().map(|key| key.verifier_key().to_string()).collect::<Vec<_>>();

    let second = if args.split { Some(ml_dsa_path(&args.out)) } else { None };
    match &second {
        Some(second) => write_split(&args.out, second, keys)?,
        None => write_key_file(&args.out, keys.into())?,
    }
    let files = [Some(args.out.as_path()), second.as_deref()].into_iter().flatten().collect();
    ui.note(format_args!("private keys: {}; keep them secret", list(&files)));
    ui.result(vkeys.join("\n"), &Made { name: &args.name, files, vkeys: vkeys.clone() })?;
    Ok(Exit::Done)
}

fn ed25519(kind: Kind, name: KeyName) -> Result<PrivateKey, CliError> {
    let seed = seed()?;
    Ok(match kind {
        Kind::Log => PrivateKey::ed25519(name, &seed),
        Kind::Witness => PrivateKey::cosigner_ed25519(name, &seed),
    })
}

/// Writes both files or none: one of them alone would look like a complete key.
fn write_split(first: &Path, second: &Path, keys: [PrivateKey; 2]) -> Result<(), CliError> {
    let [ed25519, ml_dsa] = keys;
    if second.exists() {
        return Err(CliError::Exists { path: second.to_owned() });
    }
    write_key_file(first, vec![ed25519])?;
    write_key_file(second, vec![ml_dsa])
}

fn write_key_file(path: &Path, keys: Vec<PrivateKey>) -> Result<(), CliError> {
    let file = KeyFile::new(keys).expect("keys of one name, Ed25519 first, make a key file");
    files::create(path, file.format().as_bytes(), 0o600)
}

fn ml_dsa_path(out: &Path) -> PathBuf {
    let mut path = out.as_os_str().to_owned();
    path.push(".mldsa");
    path.into()
}

/// Wiped from memory when dropped.
fn seed() -> Result<Zeroizing<[u8; SEED_LEN]>, CliError> {
    let mut seed = Zeroizing::new([0; SEED_LEN]);
    getrandom::fill(&mut *seed).map_err(|source| CliError::Random { source })?;
    Ok(seed)
}

fn list(files: &Vec<&Path>) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
