//! The result of a check, for people and for machines.

use std::collections::BTreeMap;
use std::io::{self, Write};

use merkle::{Hash, TreeSize};
use serde_json::json;

use super::Damage;
use crate::TableFiles;
use storage::LogName;

/// What was checked, and the first bad record of each kind.
#[derive(Debug, Default)]
pub struct Report {
    /// One for each log, by number.
    pub logs: Vec<LogReport>,
    /// Table files whose checksums were verified.
    pub table_files: TableFiles,
    /// By kind.
    pub findings: BTreeMap<&'static str, Finding>,
}

/// What was read of one log.
#[derive(Debug, Clone)]
pub struct LogReport {
    /// Its name.
    pub name: LogName,
    /// The head's size.
    pub size: TreeSize,
    /// The head's root.
    pub root: Hash,
    /// Entries re-hashed: equal to `size` in a clean log.
    pub entries: u64,
    /// Attachments whose checksums were verified.
    pub attachments: u64,
    /// Those of them that are blocks of events, re-hashed and compared with their leaves.
    pub blocks: u64,
    /// Tombstones of erased attachments.
    pub erased: u64,
    /// Full tiles re-hashed.
    pub tiles: u64,
    /// Deduplication rows compared with their entries.
    pub dedup_rows: u64,
    /// Leaf-hash rows compared with their entries: equal to `indexed_to` in a clean log.
    pub leaf_rows: u64,
    /// The leaf-hash index reaches this size.
    pub indexed_to: TreeSize,
    /// Producer rows.
    pub producers: u64,
    /// Archived checkpoints.
    pub checkpoints: u64,
    /// The newest journaled size, if there is one.
    pub journaled: Option<TreeSize>,
}

/// The first finding of a kind, and how many there were.
#[derive(Debug)]
pub struct Finding {
    /// The log it is about.
    pub log: Option<LogName>,
    /// The first.
    pub first: Damage,
    /// How many of the kind.
    pub count: u64,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn add(&mut self, log: Option<&LogName>, damage: Damage) {
        let kind = damage.kind();
        let first = || Finding { log: log.cloned(), first: damage, count: 0 };
        self.findings.entry(kind).or_insert_with(first).count += 1;
    }

    /// Writes it for a person. The last line is the verdict.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for log in &self.logs {
            writeln!(out, "log {}: size {}, root {}", log.name, log.size.get(), log.root)?;
            writeln!(out, "  entries re-hashed      {}", log.entries)?;
            writeln!(out, "  attachments            {}", log.attachments)?;
            writeln!(out, "  blocks re-hashed       {}", log.blocks)?;
            writeln!(out, "  attachments erased     {}", log.erased)?;
            writeln!(out, "  tiles re-hashed        {}", log.tiles)?;
            writeln!(out, "  leaf-hash rows         {}", log.leaf_rows)?;
            writeln!(out, "  leaf-hash index up to  {}", log.indexed_to.get())?;
            writeln!(out, "  deduplication rows     {}", log.dedup_rows)?;
            writeln!(out, "  producer rows          {}", log.producers)?;
            writeln!(out, "  archived checkpoints   {}", log.checkpoints)?;
            match log.journaled {
                Some(size) => writeln!(out, "  journaled size         {}", size.get())?,
                None => writeln!(out, "  journaled size         none")?,
            }
        }
        let TableFiles { files, bytes } = self.table_files;
        writeln!(out, "table files verified: {files}, {bytes} bytes")?;
        for finding in self.findings.values() {
            let log = finding.log.as_ref().map_or("the store", LogName::as_str);
            writeln!(out, "damaged: {log}: {} ({} of this kind)", finding.first, finding.count)?;
        }
        writeln!(out, "{}", if self.is_clean() { "clean" } else { "damaged" })
    }

    /// Writes it as one JSON object and a newline.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let log = |log: &LogReport| {
            json!({
                "name": log.name.as_str(),
                "size": log.size.get(),
                "root": log.root.to_string(),
                "entries": log.entries,
                "attachments": log.attachments,
                "blocks": log.blocks,
                "erased": log.erased,
                "tiles": log.tiles,
                "leaf_rows": log.leaf_rows,
                "indexed_to": log.indexed_to.get(),
                "dedup_rows": log.dedup_rows,
                "producers": log.producers,
                "checkpoints": log.checkpoints,
                "journaled": log.journaled.map(TreeSize::get),
            })
        };
        let finding = |(kind, finding): (&&str, &Finding)| {
            json!({
                "kind": kind,
                "log": finding.log.as_ref().map(LogName::as_str),
                "first": finding.first.to_string(),
                "count": finding.count,
            })
        };
        let report = json!({
            "clean": self.is_clean(),
            "logs": self.logs.iter().map(log).collect::<Vec<_>>(),
            "table_files": self.table_files.files,
            "table_bytes": self.table_files.bytes,
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        });
        writeln!(out, "{report}")
    }
}
