//! How many submissions a witness answers: `load BINARY FOLDER LOGS SECONDS [ml-dsa]`.
//!
//! Starts the witness over a new folder, then lets each of LOGS logs submit one checkpoint after the other
//! on a connection of its own; every submission waits for the answer to the one before. Prints the rate and
//! the latencies beside what the machine can do beneath: 4 KiB appends with fdatasync, and signatures on one
//! core. Without `ml-dsa` the witness has an Ed25519 key alone.

#![expect(clippy::print_stdout, reason = "results are for people")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base::clock::machine::now;
use formats::{
    AddCheckpoint, Checkpoint, KeyFile, KeyName, PrivateKey, SignedCheckpoint, Signer as _,
    Timestamp, sign,
};
use merkle::{CompactRange, Hash, TreeSize, leaf_hash, parent_hashes, plan_consistency};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Submissions made ready for all logs together, before anything is measured.
const SUBMISSIONS: usize = 160_000;
const STEPS_MAX: usize = 40_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, binary, folder, logs, seconds, rest @ ..] = &arguments[..] else {
        anyhow::bail!("usage: load BINARY FOLDER LOGS SECONDS [ml-dsa]");
    };
    let (logs, seconds): (usize, u64) = (logs.parse()?, seconds.parse()?);
    let folder = Path::new(folder);
    prepare(folder, logs, rest.iter().any(|word| word == "ml-dsa"))?;
    let steps = (SUBMISSIONS / logs).min(STEPS_MAX);
    let bodies = submissions(logs, steps)?;
    let floor = syncs_per_s(folder)?;
    let mut child = Command::new(binary)
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
    let address = line.trim_end().trim_start_matches("listening on http://").to_owned();
    let resident = || status_line(child.id(), "VmRSS");
    println!("{} at start", resident());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let latencies = runtime.block_on(run(&address, bodies, seconds));
    println!("{} at the end", resident());
    child.kill()?;
    child.wait()?;
    report(latencies?, seconds, floor.max(syncs_per_s(folder)?));
    Ok(())
}

fn report(mut latencies: Vec<Duration>, seconds: u64, floor: u64) {
    latencies.sort_unstable();
    let count = u64::try_from(latencies.len()).unwrap_or(u64::MAX);
    let at = |per_mille: usize| {
        latencies.get(latencies.len() * per_mille / 1_000).copied().unwrap_or_default()
    };
    println!("{} submissions/s, p50 {:?}, p99 {:?}", count / seconds.max(1), at(500), at(990));
    println!("{floor} appends of 4 KiB with fdatasync/s");
    let name = KeyName::new("a").expect("a name");
    for key in [
        PrivateKey::cosigner_ed25519(name.clone(), &[1; 32]),
        PrivateKey::ml_dsa_44(name, &[2; 32]),
    ] {
        let (start, mut signed) = (now(), 0u64);
        while start.elapsed() < Duration::from_secs(1) {
            drop(key.sign_message(&signed.to_be_bytes()));
            signed += 1;
        }
        println!("{signed} {:?} signatures/s on one core", key.verifier_key().kind());
    }
}

fn status_line(pid: u32, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find(|line| line.starts_with(field)).unwrap_or_default().to_owned()
}

fn log_key(number: usize) -> Result<PrivateKey> {
    let name = KeyName::new(&format!("example.com/log{number}"))?;
    let seed = leaf_hash(name.as_str().as_bytes()).into_bytes();
    Ok(PrivateKey::ed25519(name, &seed))
}

fn prepare(folder: &Path, logs: usize, ml_dsa: bool) -> Result<()> {
    ensure!(!folder.exists(), "{} is there already", folder.display());
    base::durable::create_dir_all(&folder.join("logs"), 0o700)?;
    for number in 0..logs {
        let text = format!("{}\n", log_key(number)?.verifier_key());
        let path = folder.join(format!("logs/{number}.vkey"));
        base::durable::replace(&path, text.as_bytes(), 0o600)?;
    }
    let name = KeyName::new("example.com/witness")?;
    let mut keys = vec![PrivateKey::cosigner_ed25519(name.clone(), &[1; 32])];
    if ml_dsa {
        keys.push(PrivateKey::ml_dsa_44(name, &[2; 32]));
    }
    Ok(base::keys::write(&folder.join("keys/witness"), &KeyFile::new(keys)?)?)
}

/// For each log the requests for the sizes 1, 2, 3 and so on, all over one tree.
fn submissions(logs: usize, steps: usize) -> Result<Vec<Vec<Vec<u8>>>> {
    let leaves: Vec<Hash> = (0..steps).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let (mut tree, mut heads) = (CompactRange::empty(), Vec::new());
    let mut levels = vec![leaves.clone()];
    while levels.last().is_some_and(|row| row.len() > 1) {
        let row = levels.last().context("a row")?;
        levels.push(parent_hashes(&row[..row.len() / 2 * 2]));
    }
    for leaf in leaves {
        let old = tree.end();
        tree.append(leaf);
        let proof =
            if old == TreeSize::ZERO { Vec::new() } else { proof(&levels, old, tree.end())? };
        heads.push((old, tree.end(), tree.root(), proof));
    }
    let of_log = |number| {
        let key = log_key(number)?;
        let request = |(old, size, root, proof): &(TreeSize, TreeSize, Hash, Vec<Hash>)| {
            let head = Checkpoint::new(key.name().clone().into(), *size, *root);
            let note = SignedCheckpoint::parse(&sign(&head, &[&key], Timestamp::ZERO)?)?;
            let body = AddCheckpoint::new(*old, proof.clone(), note)?.format();
            let head = format!(
                "POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            Ok([head.as_bytes(), &body].concat())
        };
        heads.iter().map(request).collect()
    };
    (0..logs).map(of_log).collect()
}

fn proof(levels: &[Vec<Hash>], old: TreeSize, size: TreeSize) -> Result<Vec<Hash>> {
    let plan = plan_consistency(old, size)?;
    let node = |node: &merkle::NodeId| {
        let index = usize::try_from(node.index()).ok()?;
        levels.get(usize::from(node.level()))?.get(index).copied()
    };
    let nodes: Option<Vec<Hash>> = plan.nodes().iter().map(node).collect();
    Ok(plan.build(&nodes.context("a node beyond the tree")?)?)
}

async fn run(address: &str, bodies: Vec<Vec<Vec<u8>>>, seconds: u64) -> Result<Vec<Duration>> {
    let end = now() + Duration::from_secs(seconds);
    let submit = |bodies: Vec<Vec<u8>>| {
        let address = address.to_owned();
        base::tasks::Supervisor::new()
            .task("log", async move { submit(&address, bodies, end).await })
    };
    let logs: Vec<_> = bodies.into_iter().map(submit).collect();
    let mut latencies = Vec::new();
    for log in logs {
        latencies.extend(log.await?.context("a log panicked")??);
    }
    Ok(latencies)
}

async fn submit(
    address: &str,
    bodies: Vec<Vec<u8>>,
    end: tokio::time::Instant,
) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut latencies, mut answer) = (Vec::with_capacity(bodies.len()), vec![0; 64 * 1024]);
    for body in bodies {
        let start = now();
        if start >= end {
            return Ok(latencies);
        }
        stream.write_all(&body).await?;
        read_answer(&mut stream, &mut answer).await?;
        latencies.push(start.elapsed());
    }
    anyhow::bail!("the submissions made ready were not enough: measure for a shorter time")
}

async fn read_answer(stream: &mut TcpStream, answer: &mut [u8]) -> Result<()> {
    let mut read = 0;
    loop {
        let more = stream.read(&mut answer[read..]).await?;
        ensure!(more > 0, "the witness closed the connection");
        read += more;
        let text = std::str::from_utf8(&answer[..read])?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        ensure!(head.starts_with("HTTP/1.1 200"), "{text}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.context("a length")?.parse::<usize>()? {
            return Ok(());
        }
    }
}

fn syncs_per_s(folder: &Path) -> Result<u64> {
    let path = folder.join(".syncs");
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path)?;
    let (start, mut syncs) = (now(), 0);
    while start.elapsed() < Duration::from_secs(1) {
        file.write_all(&[b'.'; 4_096])?;
        file.sync_data()?;
        syncs += 1;
    }
    std::fs::remove_file(path)?;
    Ok(syncs)
}
