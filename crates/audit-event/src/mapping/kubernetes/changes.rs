//! What a patch changes. The values from before are not in the item, so `old` stays absent, which
//! says that it is not known.

use crate::event::Change;
use crate::mapping::draft::{Draft, list_text};
use crate::mapping::fields::{Fields, Notes, any_value};
use crate::mapping::items::Items;
use crate::path::Path;

/// Changes that are collected: one more than an event may have, so that a longer list is named as cut.
const CHANGES_MAX: usize = 101;
/// Levels of a merge patch that become changes of their own; what lies deeper is one value.
const LEVELS_MAX: usize = 24;
/// The field of a change to the whole object, whose JSON pointer is empty.
const WHOLE: &str = "(whole object)";

/// The changes of a patch body: a list of operations (RFC 6902), or an object whose members are set
/// (RFC 7386, strategic merge and apply).
pub(super) fn of_patch(body: &[u8], with_values: bool, draft: &mut Draft, notes: &Notes) {
    let mut found = Found { with_values, changes: Vec::new(), removed: Vec::new(), notes };
    match Items::of_checked(body) {
        Some(operations) => operations.for_each(|operation| found.operation(operation)),
        None => found.merge(&Path::TOP, body, 0),
    }
    let Found { changes, removed, .. } = found;
    for (index, (change, numbers)) in changes.into_iter().enumerate() {
        let at = Path::of("changes").item(index).member("new").pointer();
        draft.event.numbers.extend(numbers.into_iter().map(|inside| format!("{at}{inside}")));
        draft.event.changes.push(change);
    }
    if !removed.is_empty() {
        draft.metadata("patch.removed", list_text(removed));
    }
}

struct Found<'n> {
    /// Whether values may be shown: not those of secrets.
    with_values: bool,
    /// Each with the pointers, inside `new`, of texts that were numbers.
    changes: Vec<(Change, Vec<String>)>,
    /// Pointers of what was removed.
    removed: Vec<String>,
    notes: &'n Notes,
}

impl Found<'_> {
    /// One operation of a JSON Patch. What is none changes nothing.
    fn operation(&mut self, operation: &[u8]) {
        let Ok(mut fields) = Fields::of(Path::TOP, operation, self.notes) else { return };
        let text = |text: Result<Option<String>, _>| text.ok().flatten();
        let Some(name) = text(fields.text("op")) else { return };
        let Some(path) = text(fields.text("path")) else { return };
        match name.as_str() {
            "add" | "replace" => self.change(path, fields.take("value")),
            "remove" => self.remove(path),
            "copy" => self.change(path, None),
            "move" => {
                if let Some(from) = text(fields.text("from")) {
                    self.remove(from);
                }
                self.change(path, None);
            }
            _ => {}
        }
    }

    /// Members of a merge patch, down to what is no object.
    fn merge(&mut self, path: &Path, value: &[u8], level: usize) {
        if self.changes.len() >= CHANGES_MAX {
            return;
        }
        if value == b"null" {
            return self.remove(path.pointer());
        }
        let is_leaf = level >= LEVELS_MAX || !value.starts_with(b"{") || value == b"{}";
        match Fields::of(path.clone(), value, self.notes) {
            Ok(fields) if !is_leaf => {
                for (name, value) in fields.into_rest() {
                    self.merge(&path.member(&name), value, level + 1);
                }
            }
            _ => self.change(path.pointer(), Some(value)),
        }
    }

    fn change(&mut self, pointer: String, new: Option<&[u8]>) {
        if self.changes.len() < CHANGES_MAX {
            let field = if pointer.is_empty() { WHOLE.to_owned() } else { pointer };
            let (new, numbers) = new
                .filter(|_| self.with_values)
                .map(|value| any_value(value, self.notes))
                .map_or((None, Vec::new()), |(value, numbers)| (Some(value), numbers));
            self.changes.push((Change { field, old: None, new }, numbers));
        }
    }

    fn remove(&mut self, pointer: String) {
        self.removed.push(pointer.clone());
        self.change(pointer, None);
    }
}
