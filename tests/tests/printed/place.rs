//! A folder in which printed commands run: the binaries on the path, other programs replaced, a
//! home of its own.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use e2e::binary;
use tempfile::TempDir;

const BINARIES: [&str; 3] = ["cairn", "cairn-server", "cairn-witness"];

/// Where commands run, and what they are told about the world.
pub(crate) struct Place {
    dir: TempDir,
    env: Vec<(&'static str, String)>,
    /// What is replaced in a command before it runs.
    replaced: Vec<(String, String)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["bin", "home", "work"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for name in BINARIES {
            symlink(binary(name), dir.path().join("bin").join(name)).unwrap();
        }
        let path =
            format!("{}:{}", dir.path().join("bin").display(), std::env::var("PATH").unwrap());
        let home = dir.path().join("home").display().to_string();
        let env = vec![("PATH", path), ("HOME", home)];
        Self { dir, env, replaced: Vec::new() }
    }

    /// Where commands run.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.env.push((variable, value.into()));
    }

    pub(crate) fn replace(&mut self, part: impl Into<String>, with: impl Into<String>) {
        self.replaced.push((part.into(), with.into()));
    }

    /// A program in the place of another one's that is not here, or does not fit here.
    pub(crate) fn stand_in(&self, name: &str, script: &str) {
        let path = self.dir.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// A command as it is run here.
    pub(crate) fn text(&self, command: &str) -> String {
        let replace = |text: String, (part, with): &(String, String)| text.replace(part, with);
        self.replaced.iter().fold(command.to_owned(), replace)
    }

    fn bash(&self, command: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", &self.text(command)]).current_dir(self.work());
        for name in ["XDG_DATA_HOME", "XDG_STATE_HOME", "CAIRN_STATE", "CAIRN_SERVER"] {
            bash.env_remove(name);
        }
        bash.envs(self.env.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        bash
    }

    /// Runs a command that ends well.
    ///
    /// # Panics
    /// Where it does not.
    pub(crate) fn run(&self, command: &str) -> String {
        let output = self.bash(command).output().unwrap();
        assert!(output.status.success(), "{command}\n{}", shown(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command that is understood and refused, and gives what it says.
    pub(crate) fn refused(&self, command: &str) -> String {
        let output = self.bash(command).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}\n{}", shown(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Starts a command that goes on by itself: a server, or one that follows.
    pub(crate) fn start(&self, command: &str) -> Running {
        let (command, _) = command.split_once(" #").unwrap_or((command, ""));
        let stderr = self.dir.path().join("stderr");
        let mut bash = self.bash(&format!("exec {}", command.trim()));
        bash.stdout(Stdio::piped()).stderr(fs::File::create(&stderr).unwrap());
        let mut child = bash.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { command: command.to_owned(), child, stdout: Some(stdout), stderr }
    }
}

fn shown(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}\n{out}{err}", output.status)
}

/// A process that a command started. Killed when dropped.
pub(crate) struct Running {
    command: String,
    child: Child,
    stdout: Option<BufReader<std::process::ChildStdout>>,
    stderr: PathBuf,
}

impl Running {
    /// The first line it prints. What follows is read and dropped, so that it never waits for a reader.
    pub(crate) fn first_line(&mut self) -> String {
        let mut stdout = self.stdout.take().expect("asked once");
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        assert!(read.is_ok_and(|read| read > 0), "{}: {}", self.command, self.stderr());
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        line.trim_end().to_owned()
    }

    /// Where it listens, as its first line says.
    pub(crate) fn url(&mut self) -> String {
        let line = self.first_line();
        line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A document of this repository.
pub(crate) fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(name)).unwrap()
}
