//! Makes `tests/fixtures/layout-1/data.tar.gz` with a server of layout 1, which is named:
//!
//! ```text
//! cargo run -p e2e --example make_layout_1 -- path/to/cairn-server
//! ```

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use e2e::{Home, Server, layout_1};
use log_client::producer::{ProducerId, ProducerOptions, ProducerStream};
use log_client::{Client, ClientOptions, NewEntry, NewLog, ReceiptLevel, Wanted};

/// Longer than the least time between two archived checkpoints.
const ARCHIVE_WITHIN: Duration = Duration::from_millis(1_200);

#[tokio::main]
async fn main() -> Result<()> {
    let program: PathBuf = std::env::args_os().nth(1).context("name a cairn-server")?.into();
    let home = Home::new();
    flushed(&home, &program).await?;
    // The next start flushes what the write-ahead log holds.
    home.start_program(&program, &[] as &[&str])?.stop()?;
    unflushed(&home, &program).await?;
    pack(&home)
}

/// What ends up in table files: both logs, and archived checkpoints of several sizes.
async fn flushed(home: &Home, program: &Path) -> Result<()> {
    let server = home.start_program(program, &[] as &[&str])?;
    let client = connect(&server)?;
    for numbers in [0..200, 200..layout_1::KEYED_FLUSHED] {
        append_keyed(&client, numbers).await?;
        tokio::time::sleep(ARCHIVE_WITHIN).await;
    }
    let name = layout_1::FROZEN_LOG.to_owned();
    let new = NewLog { name, deduplicate_entries: true, ..NewLog::default() };
    client.create_log(new).await?;
    let entries = (0..layout_1::FROZEN).map(layout_1::frozen).map(NewEntry::new).collect();
    client.append_batch(layout_1::FROZEN_LOG, entries, wanted(ReceiptLevel::Index)).await?;
    client.freeze_log(layout_1::FROZEN_LOG).await?;
    server.stop()
}

/// What a kill leaves in the write-ahead log alone. A receipt of all entries is kept beside the
/// folder.
async fn unflushed(home: &Home, program: &Path) -> Result<()> {
    let server = home.start_program(program, &[] as &[&str])?;
    let client = connect(&server)?;
    let (stream, _) = ProducerStream::open(
        client.clone(),
        layout_1::OPEN_LOG,
        ProducerId(layout_1::PRODUCER),
        ProducerOptions { message_entries_max: 7, ..ProducerOptions::default() },
    )
    .await?;
    for sequence in 1..=layout_1::SEQUENCES {
        drop(stream.append(layout_1::streamed(sequence)).await?);
    }
    ensure!(stream.close().await?.last_sequence == layout_1::SEQUENCES, "all is committed");
    let from = layout_1::KEYED_FLUSHED;
    append_keyed(&client, from..from + layout_1::KEYED_UNFLUSHED).await?;
    // By the `cairn` beside the server: this workspace's would be built first.
    let range = format!("0..{}", layout_1::open_log_entries().len());
    let prove = Command::new(program.with_file_name("cairn"))
        .args(["prove", layout_1::OPEN_LOG, "--range", &range, "--server", server.url()])
        .args(["--vkey", &home.vkey_argument(layout_1::OPEN_LOG), "--out"])
        .arg(layout_1::folder().join("range-receipt"))
        .env("CAIRN_STATE", home.path("state"))
        .status()?;
    ensure!(prove.success(), "cairn prove: {prove}");
    server.kill();
    Ok(())
}

fn pack(home: &Home) -> Result<()> {
    let status = Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--sparse", "-czf"])
        .arg(layout_1::folder().join("data.tar.gz"))
        .args(["--exclude=control.sock", "--exclude=LOCK", "--exclude=LOG*", "-C"])
        .arg(home.path("."))
        .arg("data")
        .status()?;
    ensure!(status.success(), "tar: {status}");
    Ok(())
}

fn connect(server: &Server) -> Result<Client> {
    Ok(Client::connect(server.url(), &ClientOptions::default())?)
}

async fn append_keyed(client: &Client, numbers: std::ops::Range<u64>) -> Result<()> {
    let entry = |number| {
        let (data, key) = layout_1::keyed(number);
        NewEntry { data: data.into(), dedup_key: key.into() }
    };
    let entries = numbers.map(entry).collect();
    client.append_batch(layout_1::OPEN_LOG, entries, wanted(ReceiptLevel::Signed)).await?;
    Ok(())
}

fn wanted(level: ReceiptLevel) -> Wanted {
    Wanted { level, wait: None }
}
