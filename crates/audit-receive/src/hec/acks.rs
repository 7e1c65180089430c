//! Acknowledgements on channels.
//!
//! A request is answered once its events are durable, so an id that was given stands for events that
//! are in a log, and a channel needs no more memory than the id that it gives next. That number is
//! appended to a file before the id is answered: a restart knows it, whether the server stopped or was
//! killed. After a loss of power the last lines may be missing; their ids are then unknown, so that the
//! sender sends again. None is ever true for events that were lost.
//!
//! ```text
//! GUID next last-used-ms LF
//! ```

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::clock::Clock;
use base::durable;

/// Channels that are known at a time.
const CHANNELS_MAX: usize = 4_096;
/// A channel that nobody has used for so long is forgotten: its ids are unknown from then on.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
/// Lines that are appended before the file is written anew.
const LINES_MAX: usize = 65_536;
/// Bytes of the file that are read: more than it can have.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A channel: the 32 digits of a GUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Channel(u128);

impl Channel {
    /// `8-4-4-4-12` hexadecimal digits, in either case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let mut digits = String::with_capacity(32);
        for length in [8, 4, 4, 4, 12] {
            let part = parts.next()?;
            let is_hex = part.bytes().all(|byte| byte.is_ascii_hexdigit());
            if part.len() != length || !is_hex {
                return None;
            }
            digits.push_str(part);
        }
        if parts.next().is_some() {
            return None;
        }
        u128::from_str_radix(&digits, 16).ok().map(Self)
    }
}

/// As many channels are in use as are known at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many channels")]
pub(crate) struct TooManyChannels;

/// The channels of a server.
#[derive(Debug)]
pub(crate) struct Acks {
    clock: Arc<dyn Clock>,
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    channels: HashMap<Channel, Used>,
    /// Where each id is noted before it is given.
    file: Option<File>,
    lines: usize,
}

/// What a channel gives next, and when it was used last.
#[derive(Debug, Clone, Copy)]
struct Used {
    next: u64,
    at_ms: u64,
}

impl Acks {
    /// Reads what was acknowledged before. Without a file, or with one that cannot be used, nothing is
    /// remembered across restarts.
    pub(crate) fn open(path: Option<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        let channels = path.as_deref().map(read).unwrap_or_default();
        let acks = Self { clock, path, state: Mutex::new(State { channels, ..State::default() }) };
        {
            let mut state = acks.lock();
            acks.rewrite(&mut state);
        }
        acks
    }

    /// Makes sure that the channel is known, or says that there are too many.
    pub(crate) fn hold(&self, channel: &Channel) -> Result<(), TooManyChannels> {
        let mut state = self.lock();
        let at_ms = self.clock.unix_ms();
        if let Some(used) = state.channels.get_mut(channel) {
            used.at_ms = at_ms;
            return Ok(());
        }
        if state.channels.len() >= CHANNELS_MAX {
            state.forget(at_ms);
        }
        if state.channels.len() >= CHANNELS_MAX {
            return Err(TooManyChannels);
        }
        state.channels.insert(channel.clone(), Used { next: 0, at_ms });
        Ok(())
    }

    /// The id of what was committed just now.
    pub(crate) fn acknowledge(&self, channel: &Channel) -> u64 {
        let mut state = self.lock();
        let at_ms = self.clock.unix_ms();
        let used = state.channels.entry(channel.clone()).or_insert(Used { next: 0, at_ms });
        let id = used.next;
        *used = Used { next: id + 1, at_ms };
        let line = line(channel, *used);
        if state.lines >= LINES_MAX {
            self.rewrite(&mut state);
        }
        state.append(&line);
        id
    }

    /// Whether this id was given on this channel.
    pub(crate) fn has(&self, channel: &Channel, id: u64) -> bool {
        let mut state = self.lock();
        let at_ms = self.clock.unix_ms();
        let Some(used) = state.channels.get_mut(channel) else { return false };
        if is_forgotten(*used, at_ms) {
            return false;
        }
        used.at_ms = at_ms;
        id < used.next
    }

    /// Writes the file anew, with a line a channel.
    fn rewrite(&self, state: &mut State) {
        let Some(path) = &self.path else { return };
        state.forget(self.clock.unix_ms());
        let mut text = String::new();
        for (channel, used) in state.channels.iter().filter(|(_, used)| used.next > 0) {
            text.push_str(&line(channel, *used));
        }
        state.file = None;
        state.lines = 0;
        let opened =
            durable::replace(path, text.as_bytes(), 0o600).map_err(|error| error.to_string());
        let opened = opened.and_then(|()| {
            OpenOptions::new().append(true).open(path).map_err(|error| error.to_string())
        });
        match opened {
            Ok(file) => state.file = Some(file),
            Err(error) => tracing::warn!(
                %error,
                "acknowledgements of the event collector are not remembered across a restart"
            ),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is fine: nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, line: &str) {
        let Some(file) = &mut self.file else { return };
        self.lines += 1;
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "an acknowledgement is not remembered across a restart");
        }
    }

    fn forget(&mut self, now_ms: u64) {
        self.channels.retain(|_, used| !is_forgotten(*used, now_ms));
    }
}

fn is_forgotten(used: Used, now_ms: u64) -> bool {
    Duration::from_millis(now_ms.saturating_sub(used.at_ms)) > FORGOTTEN_AFTER
}

fn line(channel: &Channel, used: Used) -> String {
    let mut line = String::new();
    writeln!(line, "{:032x} {} {}", channel.0, used.next, used.at_ms)
        .expect("writing to a string cannot fail");
    line
}

/// The channels of a file. A line that is cut or damaged says nothing.
fn read(path: &Path) -> HashMap<Channel, Used> {
    let mut text = String::new();
    let opened =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    if let Err(error) = opened
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "what was acknowledged before the start is not known");
    }
    let mut channels: HashMap<Channel, Used> = HashMap::new();
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let Some((channel, used)) = parse(line) else { continue };
        let known = channels.get(&channel).map_or(0, |known| known.next);
        if used.next >= known && (known > 0 || channels.len() < CHANNELS_MAX) {
            channels.insert(channel, used);
        }
    }
    channels
}

fn parse(line: &str) -> Option<(Channel, Used)> {
    let mut parts = line.split(' ');
    let channel = parts.next().filter(|digits| digits.len() == 32)?;
    let channel = u128::from_str_radix(channel, 16).ok().map(Channel)?;
    let used = Used { next: parts.next()?.parse().ok()?, at_ms: parts.next()?.parse().ok()? };
    parts.next().is_none().then_some((channel, used))
}

#[cfg(test)]
mod tests {
    use base::clock::ManualClock;

    use super::*;

    const GUID: &str = "FE0ECFAD-13D5-401B-847D-77833BD77131";

    fn channel(number: u128) -> Channel {
        Channel(number)
    }

    fn at(folder: &tempfile::TempDir, clock: &Arc<ManualClock>) -> Acks {
        let clock = Arc::<ManualClock>::clone(clock);
        Acks::open(Some(folder.path().join("hec-acks")), clock)
    }

    #[test]
    fn a_channel_is_a_guid() {
        let parsed = Channel::parse(GUID).unwrap();
        assert_eq!(Channel::parse(&GUID.to_lowercase()), Some(parsed));
        let long = format!("{GUID}-1");
        for bad in ["", "1", &GUID[1..], &long, &GUID.replace('-', ""), &GUID.replace('F', "G")] {
            assert_eq!(Channel::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_channel_counts_its_own_ids_and_a_restart_knows_them() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let (one, two) = (channel(1), channel(2));
        let acks = at(&folder, &clock);
        assert_eq!([&one, &one, &two].map(|of| acks.acknowledge(of)), [0, 1, 0]);
        assert!(acks.has(&one, 0) && acks.has(&one, 1) && !acks.has(&one, 2));
        assert!(acks.has(&two, 0) && !acks.has(&two, 1) && !acks.has(&channel(3), 0));
        drop(acks);
        let path = folder.path().join("hec-acks");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"what a crash left 9").unwrap();
        let acks = at(&folder, &clock);
        assert!(acks.has(&one, 1) && !acks.has(&one, 2) && !acks.has(&two, 1));
        assert_eq!((acks.acknowledge(&one), acks.acknowledge(&two)), (2, 1));
    }

    #[test]
    fn channels_are_bounded_and_those_that_nobody_uses_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let acks = at(&folder, &clock);
        assert_eq!(acks.acknowledge(&channel(0)), 0);
        for number in 1..4_096 {
            acks.hold(&channel(number)).unwrap();
        }
        assert_eq!(acks.hold(&channel(5_000)), Err(TooManyChannels));
        assert_eq!(acks.hold(&channel(7)), Ok(()));
        clock.advance(Duration::from_hours(25));
        assert!(!acks.has(&channel(0), 0));
        assert_eq!(acks.hold(&channel(5_000)), Ok(()));
        assert_eq!(acks.lock().channels.len(), 1);
    }
}
