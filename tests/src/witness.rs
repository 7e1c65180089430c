//! `cairn-witness` processes.

use std::{
    fs::{self, File},
    io::BufReader,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{binary, first_line};

/// A running `cairn-witness` over a folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct Witness {
    name: &'static str,
    dir: TempDir,
    child: Child,
    url: String,
}

impl Witness {
    /// Starts a witness that makes its keys.
    pub fn start(name: &'static str) -> Self {
        Self::start_under(&[], name)
    }

    /// Starts it through another program, which ends with the command line it is to run.
    pub fn start_under(wrapper: &[String], name: &'static str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let spawned = spawn(wrapper, name, &dir, "127.0.0.1:0");
        let (child, url) = spawned.expect("the witness starts");
        Self { name, dir, child, url }
    }

    /// `kill -9`, and starts it again where it listened before.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let listen = self.url.strip_prefix("http://").context("it listens on http")?.to_owned();
        (self.child, self.url) = spawn(&[], self.name, &self.dir, &listen)?;
        Ok(())
    }

    /// Runs `cairn-witness` with a subcommand, over this witness's folder.
    pub fn command(&self, args: &[&str]) -> Output {
        let (command, args) = args.split_first().expect("a subcommand");
        let mut witness = Command::new(binary("cairn-witness"));
        witness.arg(command).arg("--data-dir").arg(self.data()).args(args);
        witness.output().expect("the binary starts")
    }

    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Makes a log known to it; it is picked up while the witness runs.
    pub fn add_log(&self, name: &str, vkeys: &str) {
        let logs = self.data().join("logs");
        fs::create_dir_all(&logs).expect("the folder is writable");
        // Renamed into place, so that it is never read half written.
        let temporary = self.dir.path().join(name);
        fs::write(&temporary, vkeys).expect("the folder is writable");
        fs::rename(temporary, logs.join(format!("{name}.vkey"))).expect("the folder is writable");
    }

    /// Its lines of a policy: both its keys, counted once.
    pub fn policy_lines(&self) -> String {
        let vkeys = fs::read_to_string(self.data().join("keys/witness.vkey"))
            .expect("a witness makes its keys at its first start");
        let (name, url) = (self.name, &self.url);
        let names: Vec<String> =
            vkeys.lines().enumerate().map(|(position, _)| format!("{name}-{position}")).collect();
        let line = |(vkey, name): (&str, &String)| format!("witness {name} {vkey} {url}\n");
        let lines: Vec<String> = vkeys.lines().zip(&names).map(line).collect();
        format!("{}group {name} any {}\n", lines.concat(), names.join(" "))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(wrapper: &[String], name: &str, dir: &TempDir, listen: &str) -> Result<(Child, String)> {
    let stderr = dir.path().join("stderr");
    let mut command = match wrapper {
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).arg(binary("cairn-witness"));
            command
        }
        [] => Command::new(binary("cairn-witness")),
    };
    let mut child = command
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .args(["--listen", listen, "--logs-poll-ms", "50"])
        .args(["--name", &format!("{name}.example")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&stderr)?)
        .spawn()?;
    let stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
    let Some(line) = first_line(stdout) else {
        drop(child.kill());
        let status = child.wait()?;
        bail!("{status}: {}", fs::read_to_string(&stderr)?)
    };
    let url = line.strip_prefix("listening on ").context("an unexpected first line")?;
    Ok((child, url.to_owned()))
}
