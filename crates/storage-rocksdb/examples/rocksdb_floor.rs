//! What RocksDB alone does with batches like the server's: one thread, `BATCH` values of 200 bytes under
//! ascending keys, one synced write after the other. Prints values a second.
//!
//! `cargo run --release -p storage-rocksdb --example rocksdb_floor -- DIR [BATCH] [SECONDS]`

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::Duration;

use base::clock::machine::now;
use rocksdb::{DB, DBCompressionType, Options, WriteBatch, WriteOptions};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or_else(|| anyhow::anyhow!("name a folder for the database"))?;
    let batch: u32 = args.next().map_or(Ok(1000), |text| text.parse())?;
    let seconds: f64 = args.next().map_or(Ok(5.0), |text| text.parse())?;
    let dir = tempfile::tempdir_in(dir)?;
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(DBCompressionType::None);
    let db = DB::open(&options, dir.path())?;
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    let mut value = [0x61; 200];
    let mut next: u64 = 0;
    let duration = Duration::from_secs_f64(seconds);
    let started = now();
    while started.elapsed() < duration {
        let mut rows = WriteBatch::default();
        for _ in 0..batch {
            // As random as entries are, to whatever looks at it.
            value[..8].copy_from_slice(&next.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            rows.put(next.to_be_bytes(), value);
            next += 1;
        }
        db.write_opt(rows, &synced)?;
    }
    let milliseconds = u64::try_from(started.elapsed().as_millis())?.max(1);
    println!("{}", next * 1000 / milliseconds);
    Ok(())
}
