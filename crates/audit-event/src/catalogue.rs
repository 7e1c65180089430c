//! What is known of each action: what it is about, what is said of it, what is never shown.

use crate::event::{Category, Operation};

/// What is known of one action.
///
/// `did` and `tried` are what follows "Alice Chen" and "Alice Chen tried to". In braces stands what
/// the event says, in brackets what is left out where the event does not say all of it:
///
/// | placeholder | stands for |
/// |---|---|
/// | `{item}` | type, id and name of the first item, or how many there are |
/// | `{name}` | the name of the first item, else its id |
/// | `{person}`, `{role}` | name or id of the item of type `user`, of type `role` |
/// | `{thing}` | of Kubernetes: what sort of item it is in plain words, its name and where it is |
/// | `{change}`, `{setting}` | what is different, with its own verb |
/// | `{account}` | the account in the source of an AWS event |
/// | `{KEY}` | the member KEY of `metadata`; `{#KEY}` with its digits grouped |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The action; `*` stands for any one part, `**` at the second place for one or more.
    pub action: &'static str,
    /// What it is about.
    pub category: Category,
    /// What kind of act it is.
    pub operation: Operation,
    /// What follows who did it.
    pub did: &'static str,
    /// What follows "tried to".
    pub tried: &'static str,
    /// How details of a change are shown.
    pub details: &'static [(&'static str, Show)],
}

/// How the values of a detail are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// As a number, its digits grouped.
    Number,
    /// As a date: 1 Dec 2026.
    Date,
    /// Never.
    Never,
}

impl Show {
    /// Its name in [`data`](crate::sentence::data).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Date => "date",
            Self::Never => "never",
        }
    }
}

/// The entry of an action: the first that fits.
pub fn find(action: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| fits(entry.action, action))
}

/// Every entry.
pub fn entries() -> &'static [Entry] {
    ENTRIES
}

/// How a detail of this action is shown, if not as it is. What looks like a secret is never shown,
/// whatever the action.
pub fn show(entry: Option<&Entry>, detail: &str) -> Option<Show> {
    let details = entry.map_or(&[][..], |entry| entry.details);
    let stated = details.iter().find(|(name, _)| *name == detail).map(|(_, show)| *show);
    let folded = detail.to_ascii_lowercase();
    let is_secret = SECRETS.iter().any(|secret| folded.contains(secret));
    if is_secret { Some(Show::Never) } else { stated }
}

/// Parts of names of details that hold secrets.
pub(crate) const SECRETS: [&str; 7] =
    ["password", "passphrase", "secret", "token", "api_key", "private_key", "credential"];

fn fits(pattern: &str, action: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('.'), action.split('.'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some("**"), Some(_)) => {
                let rest: Vec<&str> = wanted.collect();
                let parts: Vec<&str> = found.collect();
                return parts.ends_with(&rest);
            }
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return false,
        }
    }
}

/// `entry!(action, Category Operation, did, tried, details)`
macro_rules! entry {
    ($action:literal, $category:ident $operation:ident, $did:literal, $tried:literal) => {
        entry!($action, $category $operation, $did, $tried, [])
    };
    ($action:literal, $category:ident $operation:ident, $did:literal, $tried:literal, [$($detail:expr),*]) => {
        Entry {
            action: $action,
            category: Category::$category,
            operation: Operation::$operation,
            did: $did,
            tried: $tried,
            details: &[$($detail),*],
        }
    };
}

const ENTRIES: &[Entry] = &[
    // Signing in and out.
    entry!("auth.login", Auth Login, "signed in", "sign in"),
    entry!("auth.logout", Auth Logout, "signed out", "sign out"),
    entry!("auth.mfa.enabled", Auth Update, "turned on their second sign-in step", "turn on their second sign-in step"),
    entry!("auth.mfa.disabled", Auth Update, "turned off their second sign-in step", "turn off their second sign-in step"),
    entry!("auth.mfa.changed", Auth Update, "changed their second sign-in step", "change their second sign-in step"),
    entry!("auth.password.changed", Auth Update, "changed their password", "change their password"),
    entry!("auth.password.reset", Auth Update, "set a new password[ for {person}]", "set a new password[ for {person}]"),
    // People and rights.
    entry!("role.granted", Admin Update, "gave {person} the {role} role", "give {person} the {role} role"),
    entry!("role.removed", Admin Update, "took the {role} role from {person}", "take the {role} role from {person}"),
    entry!("user.created", Admin Create, "added {person}", "add {person}"),
    entry!("user.deleted", Admin Delete, "removed {person}", "remove {person}"),
    entry!("key.created", Admin Create, "made a new key for {name}", "make a new key for {name}"),
    entry!("key.revoked", Admin Delete, "ended the key of {name}", "end the key of {name}"),
    // Settings.
    entry!("config.updated", Config Update, "{setting}", "{setting}"),
    entry!("config.changed", Config Update, "{setting}", "{setting}"),
    // Money.
    entry!("payment.approved", Transaction Approve,
        "approved {item}[ of {#amount}[ {currency}]][ to {payee}]", "approve {item}[ of {#amount}[ {currency}]][ to {payee}]"),
    entry!("payment.created", Transaction Create,
        "entered {item}[ of {#amount}[ {currency}]][ to {payee}]", "enter {item}[ of {#amount}[ {currency}]][ to {payee}]"),
    entry!("invoice.updated", Data Update, "{change}", "{change}",
        [("amount", Show::Number), ("due_date", Show::Date)]),
    // The log itself.
    entry!("log.searched", Access Read,
        "searched for {search}[ and saw {#shown} of {#found}]", "search for {search}"),
    entry!("log.viewed", Access Read, "opened record {record}", "open record {record}"),
    entry!("export.requested", Access Create, "asked for {item}[ for \"{purpose}\"]", "ask for {item}[ for \"{purpose}\"]"),
    entry!("export.approved", Access Approve, "approved {item}", "approve {item}"),
    entry!("export.refused", Access Approve, "refused {item}", "refuse {item}"),
    entry!("export.downloaded", Access Read, "downloaded {item}", "download {item}"),
    entry!("audit.exported", Access Execute, "made an evidence file[ of {#events} records]", "make an evidence file"),
    entry!("check.signed_off", Admin Approve, "signed off \"{name}\"[ of {period}]", "sign off \"{name}\"[ of {period}]"),
    entry!("erasure.approved", Admin Approve,
        "approved erasing personal details[ of {#records} records]", "approve erasing personal details[ of {#records} records]"),
    entry!("privacy.erased", Admin Delete, "erased personal details[ of {#records} records]", "erase personal details[ of {#records} records]"),
    entry!("retention.purged", System Delete, "deleted[ {#records}] records that were due", "delete[ {#records}] records that were due"),
    entry!("import.finished", System Create, "read in[ {#events}] events[ from {name}]", "read in[ {#events}] events[ from {name}]"),
    entry!("source.silent", System Other, "stopped sending[ at {since}]", "send"),
    entry!("source.malformed", System Other, "sent something that could not be read", "send something that could not be read"),
    entry!("security.id_reused", System Other,
        "sent two different events under one reference", "send two different events under one reference"),
    entry!("access.bootstrap", Admin Create, "invited {person} to approve", "invite {person} to approve"),
    entry!("access.recovery", Admin Other, "signed in by a recovery link", "sign in by a recovery link"),
    entry!("access.bulk_read", Access Read, "opened {#records} records within a day", "open {#records} records within a day"),
    entry!("system.start", System Execute, "started", "start"),
    entry!("system.stop", System Execute, "stopped", "stop"),
    entry!("system.clock", System Update, "took another time for the right one", "take another time for the right one"),
    entry!("system.configured", Config Update, "started with other settings", "start with other settings"),
    // Kubernetes: `k8s.<group or core>.<kind>[.<part>].<verb>`.
    entry!("k8s.*.*.get", Access Read, "opened {thing}", "open {thing}"),
    entry!("k8s.*.*.list", Access Read, "looked through {thing}", "look through {thing}"),
    entry!("k8s.*.*.watch", Access Read, "watched {thing}", "watch {thing}"),
    entry!("k8s.*.*.create", Data Create, "created {thing}", "create {thing}"),
    entry!("k8s.**.update", Data Update, "changed {thing}", "change {thing}"),
    entry!("k8s.**.patch", Data Update, "changed {thing}", "change {thing}"),
    entry!("k8s.**.delete", Data Delete, "deleted {thing}", "delete {thing}"),
    entry!("k8s.**.deletecollection", Data Delete, "deleted many of {thing}", "delete many of {thing}"),
    entry!("k8s.**.exec.create", Access Execute, "ran a command in {thing}", "run a command in {thing}"),
    entry!("k8s.**.exec.get", Access Execute, "ran a command in {thing}", "run a command in {thing}"),
    // CloudTrail: `aws.<service>.<event name>`.
    entry!("aws.signin.consolelogin", Auth Login, "signed in", "sign in"),
    entry!("aws.cloudtrail.stoplogging", Config Update,
        "stopped recording[ in the AWS account {account}]", "stop recording[ in the AWS account {account}]"),
    entry!("aws.cloudtrail.startlogging", Config Update,
        "started recording[ in the AWS account {account}]", "start recording[ in the AWS account {account}]"),
    entry!("aws.cloudtrail.deletetrail", Config Delete,
        "ended a recording[ in the AWS account {account}]", "end a recording[ in the AWS account {account}]"),
    // What the last part of an action says of any kind of item.
    entry!("*.created", Data Create, "created {item}", "create {item}"),
    entry!("*.updated", Data Update, "{change}", "{change}"),
    entry!("*.deleted", Data Delete, "deleted {item}", "delete {item}"),
    entry!("*.read", Access Read, "opened {item}", "open {item}"),
    entry!("*.downloaded", Access Read, "downloaded {item}", "download {item}"),
    entry!("*.approved", Transaction Approve, "approved {item}", "approve {item}"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_fits_is_found() {
        let found = |action: &str| find(action).map(|entry| entry.action);
        for (action, pattern) in [
            ("auth.login", "auth.login"),
            ("invoice.updated", "invoice.updated"),
            ("profile.updated", "*.updated"),
            ("k8s.core.secrets.get", "k8s.*.*.get"),
            ("k8s.rbac.authorization.k8s.io.roles.delete", "k8s.**.delete"),
            ("k8s.core.pods.exec.create", "k8s.**.exec.create"),
        ] {
            assert_eq!(found(action), Some(pattern), "{action}");
        }
        for action in
            ["auth", "auth.login.more", "invoice.frobnicated", "a.b.created", "created", ""]
        {
            assert_eq!(found(action), None, "{action}");
        }
    }

    #[test]
    fn no_entry_is_hidden_by_another() {
        for (at, entry) in ENTRIES.iter().enumerate() {
            let sample = entry.action.replace("**", "a.b").replace('*', "a");
            let first = ENTRIES.iter().position(|other| fits(other.action, &sample));
            assert_eq!(first, Some(at), "{}", entry.action);
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let invoice = find("invoice.updated");
        assert_eq!(show(invoice, "amount"), Some(Show::Number));
        assert_eq!(show(invoice, "note"), None);
        for detail in ["password", "Client_Secret", "refresh_token"] {
            assert_eq!(show(invoice, detail), Some(Show::Never), "{detail}");
            assert_eq!(show(None, detail), Some(Show::Never), "{detail}");
        }
    }
}
