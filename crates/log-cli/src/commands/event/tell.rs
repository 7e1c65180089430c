//! An event in words, for people, and as a document.

use audit_event::evidence::Line;
use audit_event::{Instant, Tag, Tags};
use evidence_file::words::shown;
use serde_json::{Value, json};

use crate::kept::Fetched;

/// Width of the names on the left.
const NAMES_WIDTH: usize = 10;

/// What `--json` prints.
pub(super) fn document(fetched: &Fetched) -> Value {
    let names = |tags: Tags| tags.iter().map(Tag::name).collect::<Vec<_>>();
    let line = &fetched.line;
    json!({
        "index": line.index.get(),
        "received_at": received(line),
        "leaf_hash": line.leaf_hash().to_string(),
        "sentence": fetched.sentence,
        "shown": names(line.shown_tags()),
        "withheld": names(line.withheld.without(fetched.damaged)),
        "erased": names(line.erased),
        "damaged": names(fetched.damaged),
        "event": fetched.event,
    })
}

fn received(line: &Line) -> String {
    Instant::from_nanos(line.leaf.received_at_ns()).to_nine_digits()
}

/// The sentence, then a line for each thing that is known. Every value is safe for a terminal.
pub(super) fn plain(log: &str, fetched: &Fetched) -> String {
    let (line, event) = (&fetched.line, Members(&fetched.event));
    let happened = event.text("/time").map_or_else(String::new, |time| format!("{time}; "));
    let mut rows = vec![
        ("when", format!("{happened}received {}", received(line))),
        ("who", who(event)),
        ("what", event.list(&["/action", "/category", "/operation", "/outcome", "/outcome_code"])),
        ("where", event.list(&["/origin/ip", "/origin/host", "/origin/country", "/origin/device"])),
    ];
    rows.extend(event.items("/targets").iter().map(|it| ("target", item(*it))));
    rows.extend(event.items("/changes").iter().map(|it| ("change", change(*it))));
    rows.push(("said", event.text("/description").unwrap_or_default().to_owned()));
    rows.push(("source", event.list(&["/source", "/id"])));
    rows.push(("place", format!("{log}, index {}, leaf {}", line.index, line.leaf_hash())));
    let states = [
        ("shown", line.shown_tags()),
        ("withheld", line.withheld.without(fetched.damaged)),
        ("erased", line.erased),
        ("damaged", fetched.damaged),
    ];
    let states = states.into_iter().filter(|(_, tags)| !tags.is_empty());
    rows.extend(
        states.map(|(state, tags)| {
            (state, tags.iter().map(Tag::name).collect::<Vec<_>>().join(", "))
        }),
    );
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    let rows = rows.map(|(name, value)| format!("  {name:NAMES_WIDTH$}{}", shown(&value)));
    [shown(&fetched.sentence)].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn who(event: Members<'_>) -> String {
    let who = event.pair("/actor/type", "/actor/id");
    let more = event.list(&["/actor/name", "/actor/email", "/actor/session_id"]);
    let on_behalf = event.pair("/actor/on_behalf_of/type", "/actor/on_behalf_of/id");
    let more = if more.is_empty() { more } else { format!(" ({more})") };
    let on_behalf =
        if on_behalf.is_empty() { on_behalf } else { format!(", on behalf of {on_behalf}") };
    format!("{who}{more}{on_behalf}")
}

fn item(target: Members<'_>) -> String {
    let item = target.pair("/type", "/id");
    let name = target.text("/name").map_or_else(String::new, |name| format!(" ({name})"));
    format!("{item}{name}")
}

fn change(change: Members<'_>) -> String {
    let side = |pointer: &str| match change.0.pointer(pointer) {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let field = change.text("/field").unwrap_or_default();
    format!("{field}: {} to {}", side("/old"), side("/new"))
}

/// Members of an event, by RFC 6901 pointers.
#[derive(Clone, Copy)]
struct Members<'a>(&'a Value);

impl<'a> Members<'a> {
    fn text(self, pointer: &str) -> Option<&'a str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    fn list(self, pointers: &[&str]) -> String {
        pointers.iter().filter_map(|it| self.text(it)).collect::<Vec<_>>().join(", ")
    }

    fn pair(self, one: &str, other: &str) -> String {
        [one, other].iter().filter_map(|it| self.text(it)).collect::<Vec<_>>().join(" ")
    }

    fn items(self, pointer: &str) -> Vec<Self> {
        let items = self.0.pointer(pointer).and_then(Value::as_array);
        items.into_iter().flatten().map(Members).collect()
    }
}
