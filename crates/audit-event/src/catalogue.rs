//! What is known of each action.

use crate::event::{Category, Operation};

/// What is known of one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The action.
    pub action: &'static str,
    /// What it is about.
    pub category: Category,
    /// What kind of act it is.
    pub operation: Operation,
}

/// The entry of an action.
pub fn find(action: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.action == action)
}

const ENTRIES: &[Entry] = &[
    Entry { action: "auth.login", category: Category::Auth, operation: Operation::Login },
    Entry { action: "auth.logout", category: Category::Auth, operation: Operation::Logout },
    Entry { action: "invoice.updated", category: Category::Data, operation: Operation::Update },
];
