//! What the machine can do beneath the server: synced writes a second, and the server's CPU time.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use base::clock::machine::now;

use super::load::float;

const PROBE_DURATION: Duration = Duration::from_secs(1);
const PROBE_WRITE_BYTES: usize = 4096;

/// 4 KiB appends, each followed by `fdatasync`, to a new file in `folder`: how many a second.
/// Takes one second; the file is removed.
pub(crate) fn fdatasync_per_s(folder: &Path) -> io::Result<f64> {
    let path = folder.join(format!(".cairn-bench-{}", std::process::id()));
    let rate = append_and_sync(&path);
    let removed = fs::remove_file(&path);
    let rate = rate?;
    removed.map(|()| rate)
}

fn append_and_sync(path: &Path) -> io::Result<f64> {
    let mut file = OpenOptions::new().append(true).create_new(true).open(path)?;
    let block = [b'.'; PROBE_WRITE_BYTES];
    let start = now();
    let mut syncs = 0;
    while start.elapsed() < PROBE_DURATION {
        file.write_all(&block)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(float(syncs) / start.elapsed().as_secs_f64())
}

/// User and system time process `pid` has used so far, from `/proc/PID/stat` (proc(5), fields 14
/// and 15).
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = cpu_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(float(ticks) / float(ticks_per_second)))
}

/// The name of a process stands in parentheses and may hold anything, so we count the fields from
/// the last closing parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 4 0 100";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn our_own_process_has_a_cpu_time() {
        assert!(cpu_time(std::process::id()).is_ok());
    }
}
