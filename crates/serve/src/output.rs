//! The only code of the servers that prints: results on stdout, everything else on stderr.
//!
//! Lines that cannot be printed are dropped. A terminal that is gone, a closed pipe or a full disk
//! behind stderr is no reason to stop serving, and `println!` would panic.

use std::fmt::Display;
use std::io::{self, Stderr, Stdout, Write};
use std::process::ExitCode;

/// The exit status of a refusal to start, and of a command that could not run.
const REFUSED: u8 = 2;

/// Writes what can be written, and drops the rest.
#[derive(Debug)]
pub struct Dropping<W>(W);

impl<W: Write> Write for Dropping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            // `write_all` would fail if we said that nothing was written.
            Ok(0) => Ok(bytes.len()),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Ok(bytes.len()),
            taken => taken,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        drop(self.0.flush());
        Ok(())
    }
}

/// Where results go.
pub fn results() -> Dropping<Stdout> {
    Dropping(io::stdout())
}

/// Where everything else goes.
pub fn remarks() -> Dropping<Stderr> {
    Dropping(io::stderr())
}

/// One line on stderr.
pub fn say(line: impl Display) {
    // In one write, so that lines of several processes do not mix.
    drop(remarks().write_all(format!("{line}\n").as_bytes()));
}

/// The first line on stdout. A program that waits until the server listens reads it from a pipe.
pub fn listening(url: &str) {
    let mut out = results();
    drop(out.write_all(format!("listening on {url}\n").as_bytes()));
    drop(out.flush());
}

/// The reason is the last line of stderr.
pub fn refusal(program: &str, error: impl Display) -> ExitCode {
    say(format_args!("{program}: {error}"));
    ExitCode::from(REFUSED)
}

/// Clap's own answer: help and the version are results, the rest is a refusal.
pub fn command_line(error: &clap::Error) -> ExitCode {
    drop(error.print());
    if error.kind() == clap::error::ErrorKind::InvalidUtf8 {
        say("to use a folder whose name is not UTF-8, start in it and name it by a relative path,");
        say("or make a symbolic link to it");
    }
    if error.use_stderr() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, then fails as `error` says, or takes none.
    struct Full {
        taken: Vec<u8>,
        room: usize,
        error: Option<io::ErrorKind>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let takes = bytes.len().min(self.room - self.taken.len());
            self.taken.extend(&bytes[..takes]);
            match self.error {
                Some(error) if takes == 0 => Err(error.into()),
                _ => Ok(takes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            self.error.map_or(Ok(()), |error| Err(error.into()))
        }
    }

    #[test]
    fn what_cannot_be_written_is_dropped() {
        for error in [None, Some(io::ErrorKind::BrokenPipe), Some(io::ErrorKind::StorageFull)] {
            let mut out = Dropping(Full { taken: Vec::new(), room: 3, error });
            out.write_all(b"a line\n").unwrap();
            writeln!(out, "another").unwrap();
            out.flush().unwrap();
            assert_eq!(out.0.taken, b"a l");
        }
    }

    #[test]
    fn what_can_be_written_is() {
        let mut out = Dropping(Vec::new());
        writeln!(out, "{}", 7).unwrap();
        assert_eq!(out.0, b"7\n");
    }
}
