//! `READ ME FIRST.txt`: what the file is, in words.

use std::fmt::Write as _;

use audit_event::evidence::Manifest;
use audit_event::evidence::manifest::VIEWS;

use crate::words::shown;

/// The text of `READ ME FIRST.txt`. `times_as_text` counts the events of `events.parquet` whose time
/// stands there as a text alone.
pub(crate) fn text(manifest: &Manifest, views: &[&str], times_as_text: u64) -> String {
    let mut out = String::from("EVIDENCE FROM AN AUDIT LOG\n\n");
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line("What its maker says of it. Nothing proves these words:\n");
    for (name, words) in [
        ("Made by", &manifest.made_by),
        ("Made at", &manifest.made_at),
        ("Purpose", &manifest.purpose),
        ("Log", &manifest.log),
        ("Asked for", &manifest.filter_text),
        ("Time zone", &manifest.time_zone),
    ] {
        line(&format!(
            "  {name}: {}",
            if words.is_empty() { "-".to_owned() } else { shown(words) }
        ));
    }
    line("");
    line(&amount(manifest));
    line(&left_out(manifest));
    line(&withheld(manifest));
    line(VERIFY);
    line(FILES);
    if !views.is_empty() {
        line(&tables(views, times_as_text));
    }
    out
}

fn amount(manifest: &Manifest) -> String {
    format!(
        "It holds {} of the {} events that the log {} had when it was made.",
        manifest.events,
        manifest.tree_size,
        shown(&manifest.origin)
    )
}

fn left_out(manifest: &Manifest) -> String {
    match &manifest.complete {
        Some(range) => format!(
            "It holds every event from number {} up to, but not including, number {}. Those that were not asked\n\
             for show their kind, result and time alone.\n",
            range.start, range.end
        ),
        None => "What was not asked for is not in it. Nobody can see from it what was left out.\n"
            .to_owned(),
    }
}

fn withheld(manifest: &Manifest) -> String {
    let names: Vec<&str> = manifest.withheld.iter().map(audit_event::Tag::name).collect();
    if names.is_empty() {
        return "No part of an event is withheld throughout.\n".to_owned();
    }
    format!("These parts of every event are withheld: {}.\n", names.join(", "))
}

const VERIFY: &str = "\
HOW TO CHECK IT

  cairn verify-export FILE --vkey KEY

FILE is this folder, or the archive that it came in. KEY is the public key of the log. Take it from
your own records: whoever made this file also wrote the key in keys.txt. verify.html says more.
";

const FILES: &str = "\
WHAT IS IN IT

  events.ndjson   the events, with the exact texts that the log committed to
  proofs          that each event stands in the log at its place
  checkpoint      what the log signed, and its witnesses
  keys.txt        the public keys of the log, for convenience
  policy.txt      which witnesses it has, for convenience
  manifest.json   the length and the hash of every other file
";

fn tables(views: &[&str], times_as_text: u64) -> String {
    let names: Vec<&str> = VIEWS.into_iter().filter(|name| views.contains(name)).collect();
    let mut out = format!(
        "{} {} the same events as a table, without what proves them.\n",
        names.join(", "),
        if names.len() == 1 { "is" } else { "are" }
    );
    if views.contains(&"events.csv") {
        out.push_str(SPREADSHEETS);
    }
    if views.contains(&"events.parquet") {
        out.push_str(TYPED_TIMES);
        writeln!(
            out,
            "{times_as_text} events have a time that is no such instant: it stands as a text alone."
        )
        .expect("writing to a string cannot fail");
    }
    out
}

const SPREADSHEETS: &str = "
Spreadsheets change what they open: 00123 becomes 123, long numbers lose digits, 3-4 becomes a date.
Import events.csv with every column as text (in Excel: Data, From Text/CSV; in LibreOffice: mark all
columns and choose Text). A ' in front of a cell keeps it from running as a formula; take it off to have
the text back. \\u and four digits stand for a character that is not seen.
";

const TYPED_TIMES: &str = "
In events.parquet the columns received_at_utc and time_utc are microseconds in UTC; the texts in
received_at and time are exact.
";
