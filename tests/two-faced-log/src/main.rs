//! A log that tells a second story: `two-faced-log KEYS OLD ENTRY...`
//!
//! Signs the tree of the entries in the files `ENTRY...` with the first of a log's own keys, whatever that
//! log holds, and prints the `add-checkpoint` body (c2sp.org/tlog-witness) for a witness that holds the
//! first `OLD` of them. For demonstrations and tests: no release contains it, and whoever has a log's keys
//! could write it.

use std::fs;
use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use formats::{AddCheckpoint, KeyFile, SignedCheckpoint, Signer as _, sign_head};
use merkle::{Hash, NodeId, TreeSize, leaf_hash, plan_consistency, root_of};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, keys, old, entries @ ..] = &arguments[..] else {
        bail!("usage: two-faced-log KEYS OLD ENTRY...");
    };
    let keys = fs::read_to_string(keys).with_context(|| keys.clone())?;
    let leaf = |path: &String| Ok(leaf_hash(&fs::read(path).with_context(|| path.clone())?));
    let leaves = entries.iter().map(leaf).collect::<Result<Vec<Hash>>>()?;
    let body = submission(&KeyFile::parse(&keys)?, TreeSize::new(old.parse()?)?, &leaves)?;
    Ok(std::io::stdout().write_all(&body)?)
}

fn submission(keys: &KeyFile, old: TreeSize, leaves: &[Hash]) -> Result<Vec<u8>> {
    let size = TreeSize::new(u64::try_from(leaves.len())?)?;
    let key = keys.keys().first().context("a key file has keys")?;
    let note = sign_head(&key.name().clone().into(), size, &root_of(leaves), key)?;
    let plan = plan_consistency(old, size)?;
    let nodes = plan.nodes().iter().map(|node| hash_of(*node, leaves));
    let proof = plan.build(&nodes.collect::<Result<Vec<Hash>>>()?)?;
    Ok(AddCheckpoint::new(old, proof, SignedCheckpoint::parse(&note)?)?.format())
}

fn hash_of(node: NodeId, leaves: &[Hash]) -> Result<Hash> {
    let range = node.leaves();
    let below = leaves.get(usize::try_from(range.start)?..usize::try_from(range.end)?);
    Ok(root_of(below.context("a node beyond the tree")?))
}
