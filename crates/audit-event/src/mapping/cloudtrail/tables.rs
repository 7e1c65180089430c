//! What names of events, services and errors say.

use crate::event::{Category, Operation};
use crate::mapping::Intake;

/// First words of event names, and what kind of act they are.
const VERBS: &[(Operation, &[&str])] = &[
    (
        Operation::Read,
        &[
            "BatchGet", "Describe", "Get", "Head", "List", "Lookup", "Query", "Scan", "Search",
            "Select", "View",
        ],
    ),
    (
        Operation::Create,
        &[
            "Allocate", "Copy", "Create", "Generate", "Import", "Issue", "Register", "Request",
            "Run", "Upload",
        ],
    ),
    (
        Operation::Delete,
        &[
            "BatchDelete",
            "Delete",
            "Deregister",
            "Purge",
            "Release",
            "Remove",
            "ScheduleKey",
            "Terminate",
        ],
    ),
    (
        Operation::Update,
        &[
            "Add",
            "Associate",
            "Attach",
            "Authorize",
            "Change",
            "Detach",
            "Disable",
            "Disassociate",
            "Enable",
            "Modify",
            "Put",
            "Replace",
            "Reset",
            "Restore",
            "Revoke",
            "Set",
            "Tag",
            "Untag",
            "Update",
        ],
    ),
    (
        Operation::Execute,
        &["Execute", "Invoke", "Publish", "Reboot", "Resume", "Send", "Start", "Stop", "Submit"],
    ),
    (Operation::Approve, &["Approve"]),
];

/// `readOnly` says that it is a read; else the name says what it is.
pub(super) fn operation(name: &str, read_only: bool, is_sign_in: bool) -> Operation {
    if is_sign_in && matches!(name, "ConsoleLogin" | "SwitchRole" | "UserAuthentication") {
        return Operation::Login;
    }
    if is_sign_in && matches!(name, "Logout" | "SignOut" | "ConsoleLogout" | "ExitRole") {
        return Operation::Logout;
    }
    if read_only {
        return Operation::Read;
    }
    // A word ends before a capital letter: `Settle` is not `Set`.
    let is_word = |rest: &str| !rest.starts_with(|letter: char| letter.is_ascii_lowercase());
    let begins = |word: &&str| name.strip_prefix(*word).is_some_and(is_word);
    let found = VERBS.iter().find(|(_, words)| words.iter().any(begins));
    found.map_or(Operation::Other, |(operation, _)| *operation)
}

/// Sign-ins are `auth`, data events `data`, reads `access`; of what manages, people and rights are
/// `admin` and the rest `config`.
pub(super) fn category(
    service: &str,
    event_category: Option<&str>,
    operation: Operation,
    is_sign_in: bool,
    intake: &Intake<'_>,
) -> Option<Category> {
    let is_read = operation == Operation::Read;
    Some(match (service, event_category) {
        _ if is_sign_in => Category::Auth,
        ("sts", _) => Category::Auth,
        (_, Some("Insight")) => Category::System,
        _ if is_read => Category::Access,
        (_, Some("Data")) => Category::Data,
        ("iam" | "organizations" | "sso" | "sso-directory" | "identitystore", _) => Category::Admin,
        (_, Some("Management") | None) => Category::Config,
        _ => return intake.category,
    })
}

/// Services spell a refusal in several ways, with `Client.` before and `Exception` behind.
pub(super) fn is_denial(code: &str) -> bool {
    let stem = ["Client.", "Server."].iter().find_map(|start| code.strip_prefix(start));
    let stem = stem.unwrap_or(code);
    let stem = ["Exception", "Fault"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem);
    matches!(
        stem,
        "AccessDenied"
            | "AllAccessDisabled"
            | "AuthorizationError"
            | "Forbidden"
            | "NotAuthorized"
            | "Unauthorized"
            | "UnauthorizedAccess"
            | "UnauthorizedOperation"
            | "VpceAccessDenied"
    )
}
