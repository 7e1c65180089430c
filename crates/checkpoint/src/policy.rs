//! Trust policies: which logs, which witnesses, and how many of them.
//!
//! ```text
//! log <vkey> [<url>]
//! witness <name> <vkey> [<url>]
//! group <name> all|any|<k> <name>...
//! quorum <name>|none
//! ```
//!
//! <https://c2sp.org/tlog-policy>. Names and URLs are opaque octets. A line may only name what stands
//! above it, so a policy has no cycles, and each name is a member of at most one group, so that a
//! witness counts in one way only.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;

use crate::checkpoint::{CheckpointError, SignedCheckpoint, VerifiedCheckpoint};
use crate::key::{KeyError, VerifierKey};
use crate::note::VerifiedSignature;
use crate::parse::{self, NumberError};
use crate::trust::TrustError;

/// Bytes a policy file may have.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;

/// Logs a policy may list. The format asks for at least 32, as for witnesses and groups.
pub const LOGS_MAX: usize = 256;

/// Witnesses a policy may list.
pub const WITNESSES_MAX: usize = 256;

/// Groups a policy may define.
pub const GROUPS_MAX: usize = 256;

/// What no name may be: the quorum without witnesses.
const NONE: &[u8] = b"none";

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More than [`POLICY_BYTES_MAX`] bytes.
    #[error("a policy of {bytes} bytes exceeds {POLICY_BYTES_MAX}")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
    },
    /// The last line does not end with a newline.
    #[error("the last line of a policy does not end")]
    Unterminated,
    /// No quorum line.
    #[error("a policy has no quorum line")]
    NoQuorum,
    /// One line is wrong.
    #[error("line {line} of a policy is refused")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: LineError,
    },
}

/// Why one line of a policy was refused. Names are shown with escapes where they are not ASCII.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// An octet the format does not allow anywhere, comments included.
    #[error("holds the control character {byte:#04x}")]
    ControlCharacter {
        /// The octet.
        byte: u8,
    },
    /// Neither log, witness, group nor quorum.
    #[error("starts with the unknown word {}", word.escape_ascii())]
    UnknownWord {
        /// The first item.
        word: Box<[u8]>,
    },
    /// Too few or too many items.
    #[error("is not of the form: {form}")]
    Form {
        /// What belongs there.
        form: &'static str,
    },
    /// The vkey.
    #[error("has a bad vkey")]
    Key(#[source] KeyError),
    /// A vkey that is not UTF-8.
    #[error("has a vkey that is not UTF-8")]
    KeyNotUtf8,
    /// A witness whose key does not make cosignatures.
    #[error(
        "gives a witness a key of signature type {signature_type:#04x}, which is no cosignature"
    )]
    NotACosigner {
        /// The key's type.
        signature_type: u8,
    },
    /// The public key of an earlier log, or of an earlier witness, under whatever name.
    #[error("repeats the public key of an earlier {what}")]
    DuplicateKey {
        /// "log" or "witness".
        what: &'static str,
    },
    /// A second definition of a name; witnesses and groups share them.
    #[error("defines the name {} again", name.escape_ascii())]
    DuplicateName {
        /// The name.
        name: Box<[u8]>,
    },
    /// `none` as a name or a member.
    #[error("uses the predefined name none")]
    NameIsNone,
    /// A name that no line above defines.
    #[error("names {}, which no line above defines", name.escape_ascii())]
    UnknownName {
        /// The name.
        name: Box<[u8]>,
    },
    /// A name that is a member already, of this group or another.
    #[error("makes {} a member a second time", name.escape_ascii())]
    MemberTwice {
        /// The name.
        name: Box<[u8]>,
    },
    /// The threshold's digits.
    #[error("has a threshold that is {0}")]
    Threshold(NumberError),
    /// A threshold of zero, or above the number of members.
    #[error("has a threshold of {threshold} with {members} members")]
    ThresholdRange {
        /// The threshold.
        threshold: u64,
        /// Members of the group.
        members: usize,
    },
    /// A second quorum line.
    #[error("is a second quorum line")]
    SecondQuorum,
    /// More logs, witnesses or groups than are taken.
    #[error("is one {what} more than the {max} taken")]
    TooMany {
        /// "log", "witness" or "group".
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// The log signed, and too few witnesses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cosigned} of the policy's {witnesses} witnesses cosigned, which is no quorum")]
pub struct QuorumError {
    /// Witnesses of the policy whose cosignature verified.
    pub cosigned: usize,
    /// Witnesses of the policy.
    pub witnesses: usize,
}

/// A log that the policy trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    key: VerifierKey,
    url: Option<Box<[u8]>>,
}

impl Log {
    /// Its key; the key's name is the log's origin.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Its URL, opaque; what it means is the application's.
    pub fn url(&self) -> Option<&[u8]> {
        self.url.as_deref()
    }
}

/// A witness that the policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    name: Box<[u8]>,
    key: VerifierKey,
    url: Option<Box<[u8]>>,
}

impl Witness {
    /// Its name in this policy, opaque.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its key.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Its submission prefix, opaque.
    pub fn url(&self) -> Option<&[u8]> {
        self.url.as_deref()
    }
}

/// A group of witnesses and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: Box<[u8]>,
    threshold: usize,
    members: Vec<Member>,
}

/// What a name stands for: a position in the list of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// A whole policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    /// `None` is the quorum `none`.
    quorum: Option<Member>,
    /// The keys of logs, then of witnesses: what a note is verified with.
    keys: Vec<VerifierKey>,
}

impl Policy {
    /// Parses a policy file. Blanks and comments are free; everything else has one spelling.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLarge { bytes: bytes.len() });
        }
        let body = match bytes.split_last() {
            None => return Err(PolicyError::NoQuorum),
            Some((b'\n', body)) => body,
            Some(_) => return Err(PolicyError::Unterminated),
        };
        let mut parser = Parser::default();
        for (index, line) in body.split(|&byte| byte == b'\n').enumerate() {
            parser.line(line).map_err(|source| PolicyError::Line { line: index + 1, source })?;
        }
        parser.finish().ok_or(PolicyError::NoQuorum)
    }

    /// The policy in one canonical form, without comments: logs, witnesses, groups, quorum.
    pub fn format(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for log in &self.logs {
            push_items(&mut out, &[b"log", vkey_text(&log.key).as_bytes()], log.url());
        }
        for witness in &self.witnesses {
            let vkey = vkey_text(&witness.key);
            push_items(&mut out, &[b"witness", &witness.name, vkey.as_bytes()], witness.url());
        }
        for group in &self.groups {
            let threshold = alloc::format!("{}", group.threshold);
            let mut items: Vec<&[u8]> =
                Vec::from([&b"group"[..], &group.name, threshold.as_bytes()]);
            items.extend(group.members.iter().map(|&member| self.name_of(member)));
            push_items(&mut out, &items, None);
        }
        let quorum = self.quorum.map_or(NONE, |member| self.name_of(member));
        push_items(&mut out, &[b"quorum", quorum], None);
        out
    }

    /// The logs in the file's order.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The witnesses in the file's order.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Whether the quorum is `none`.
    pub fn needs_no_witness(&self) -> bool {
        self.quorum.is_none()
    }

    /// Verifies that a log of this policy signed the checkpoint, and a quorum of witnesses. A bad
    /// signature under any key of the policy refuses it.
    pub fn verify(&self, signed: &SignedCheckpoint) -> Result<VerifiedCheckpoint, TrustError> {
        let is_log = |key: &VerifierKey| self.logs.iter().any(|log| log.key == *key);
        self.checked(signed.verify_of_log(&self.keys, is_log))
    }

    /// As [`Policy::verify`], with the log's keys known from elsewhere instead of the policy's: a log
    /// that asks whether its own checkpoint may be published.
    pub fn verify_of_log<K: Borrow<VerifierKey>>(
        &self,
        signed: &SignedCheckpoint,
        log_keys: &[K],
    ) -> Result<VerifiedCheckpoint, TrustError> {
        let of_log = |key: &VerifierKey| log_keys.iter().any(|log| log.borrow() == key);
        let keys: Vec<&VerifierKey> = log_keys
            .iter()
            .map(Borrow::borrow)
            .chain(self.witnesses.iter().map(Witness::key))
            .collect();
        self.checked(signed.verify_of_log(&keys, of_log))
    }

    /// Whether the witnesses that cosigned form a quorum. Signatures of other keys do not count.
    pub fn is_quorum(&self, signatures: &[VerifiedSignature]) -> bool {
        self.is_quorum_of(|witness| signatures.iter().any(|found| *found.key() == witness.key))
    }

    /// Whether the witnesses that `counts` says yes to form a quorum.
    pub fn is_quorum_of(&self, counts: impl Fn(&Witness) -> bool) -> bool {
        let Some(quorum) = self.quorum else {
            return true;
        };
        let witnessed: Vec<bool> = self.witnesses.iter().map(counts).collect();
        // A group names only groups above it, so one pass in order knows all it needs.
        let mut grouped: Vec<bool> = Vec::with_capacity(self.groups.len());
        let holds = |member: &Member, grouped: &[bool]| match *member {
            Member::Witness(index) => witnessed[index],
            Member::Group(index) => grouped[index],
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(member, &grouped)).count();
            grouped.push(count >= group.threshold);
        }
        holds(&quorum, &grouped)
    }

    fn checked(
        &self,
        verified: Result<VerifiedCheckpoint, CheckpointError>,
    ) -> Result<VerifiedCheckpoint, TrustError> {
        let verified = verified?;
        let signatures = verified.signatures();
        if !self.is_quorum(signatures) {
            let cosigned =
                |witness: &&Witness| signatures.iter().any(|found| *found.key() == witness.key);
            let cosigned = self.witnesses.iter().filter(cosigned).count();
            return Err(QuorumError { cosigned, witnesses: self.witnesses.len() }.into());
        }
        Ok(verified)
    }

    fn name_of(&self, member: Member) -> &[u8] {
        match member {
            Member::Witness(index) => &self.witnesses[index].name,
            Member::Group(index) => &self.groups[index].name,
        }
    }
}

/// What has been read so far.
#[derive(Default)]
struct Parser {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Option<Option<Member>>,
    names: BTreeMap<Box<[u8]>, Named>,
}

/// A defined name, and whether a group has it already.
struct Named {
    stands_for: Member,
    is_member: bool,
}

impl Parser {
    fn line(&mut self, line: &[u8]) -> Result<(), LineError> {
        let forbidden = |byte: &&u8| (**byte < b' ' && **byte != b'\t') || **byte == 0x7f;
        if let Some(&byte) = line.iter().find(forbidden) {
            return Err(LineError::ControlCharacter { byte });
        }
        let items: Vec<&[u8]> = line
            .split(|&byte| byte == b' ' || byte == b'\t')
            .filter(|item| !item.is_empty())
            .collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", rest @ ..] => self.log(rest),
            [b"witness", rest @ ..] => self.witness(rest),
            [b"group", rest @ ..] => self.group(rest),
            [b"quorum", rest @ ..] => self.quorum(rest),
            [word, ..] => Err(LineError::UnknownWord { word: (*word).into() }),
        }
    }

    fn log(&mut self, items: &[&[u8]]) -> Result<(), LineError> {
        let (vkey, url) = match *items {
            [vkey] => (vkey, None),
            [vkey, url] => (vkey, Some(url.into())),
            _ => return Err(LineError::Form { form: "log <vkey> [<url>]" }),
        };
        check_count("log", self.logs.len(), LOGS_MAX)?;
        let key = parse_vkey(vkey)?;
        check_key("log", &key, self.logs.iter().map(Log::key))?;
        self.logs.push(Log { key, url });
        Ok(())
    }

    fn witness(&mut self, items: &[&[u8]]) -> Result<(), LineError> {
        let (name, vkey, url) = match *items {
            [name, vkey] => (name, vkey, None),
            [name, vkey, url] => (name, vkey, Some(url.into())),
            _ => return Err(LineError::Form { form: "witness <name> <vkey> [<url>]" }),
        };
        check_count("witness", self.witnesses.len(), WITNESSES_MAX)?;
        let key = parse_vkey(vkey)?;
        if !key.kind().is_cosignature() {
            return Err(LineError::NotACosigner { signature_type: key.kind().signature_type() });
        }
        check_key("witness", &key, self.witnesses.iter().map(Witness::key))?;
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(Witness { name: name.into(), key, url });
        Ok(())
    }

    fn group(&mut self, items: &[&[u8]]) -> Result<(), LineError> {
        let [name, threshold, names @ ..] = items else {
            return Err(LineError::Form { form: GROUP_FORM });
        };
        if names.is_empty() {
            return Err(LineError::Form { form: GROUP_FORM });
        }
        check_count("group", self.groups.len(), GROUPS_MAX)?;
        let threshold = parse_threshold(threshold, names.len())?;
        let members: Vec<Member> =
            names.iter().map(|name| self.join(name)).collect::<Result<_, _>>()?;
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { name: (*name).into(), threshold, members });
        Ok(())
    }

    fn quorum(&mut self, items: &[&[u8]]) -> Result<(), LineError> {
        let [name] = *items else {
            return Err(LineError::Form { form: "quorum <name>" });
        };
        if self.quorum.is_some() {
            return Err(LineError::SecondQuorum);
        }
        let member = if name == NONE {
            None
        } else {
            let named = self.names.get(name);
            let unknown = || LineError::UnknownName { name: name.into() };
            Some(named.ok_or_else(unknown)?.stands_for)
        };
        self.quorum = Some(member);
        Ok(())
    }

    fn define(&mut self, name: &[u8], stands_for: Member) -> Result<(), LineError> {
        if name == NONE {
            return Err(LineError::NameIsNone);
        }
        if self.names.contains_key(name) {
            return Err(LineError::DuplicateName { name: name.into() });
        }
        self.names.insert(name.into(), Named { stands_for, is_member: false });
        Ok(())
    }

    /// Makes a name a member of a group, which it can be once.
    fn join(&mut self, name: &[u8]) -> Result<Member, LineError> {
        if name == NONE {
            return Err(LineError::NameIsNone);
        }
        let named = self.names.get_mut(name);
        let named = named.ok_or_else(|| LineError::UnknownName { name: name.into() })?;
        if core::mem::replace(&mut named.is_member, true) {
            return Err(LineError::MemberTwice { name: name.into() });
        }
        Ok(named.stands_for)
    }

    fn finish(self) -> Option<Policy> {
        let quorum = self.quorum?;
        let logs = self.logs.iter().map(|log| log.key.clone());
        let keys = logs.chain(self.witnesses.iter().map(|witness| witness.key.clone())).collect();
        let Self { logs, witnesses, groups, .. } = self;
        Some(Policy { logs, witnesses, groups, quorum, keys })
    }
}

const GROUP_FORM: &str = "group <name> all|any|<k> <name>...";

fn parse_vkey(vkey: &[u8]) -> Result<VerifierKey, LineError> {
    let text = core::str::from_utf8(vkey).map_err(|_| LineError::KeyNotUtf8)?;
    VerifierKey::parse(text).map_err(LineError::Key)
}

fn parse_threshold(threshold: &[u8], members: usize) -> Result<usize, LineError> {
    let number = match threshold {
        b"any" => return Ok(1),
        b"all" => return Ok(members),
        digits => core::str::from_utf8(digits)
            .map_err(|_| NumberError::NotDecimal)
            .and_then(|digits| parse::decimal(digits, u64::MAX))
            .map_err(LineError::Threshold)?,
    };
    match usize::try_from(number) {
        Ok(threshold) if (1..=members).contains(&threshold) => Ok(threshold),
        Ok(_) | Err(_) => Err(LineError::ThresholdRange { threshold: number, members }),
    }
}

fn check_count(what: &'static str, count: usize, max: usize) -> Result<(), LineError> {
    if count == max { Err(LineError::TooMany { what, max }) } else { Ok(()) }
}

fn check_key<'k>(
    what: &'static str,
    key: &VerifierKey,
    mut earlier: impl Iterator<Item = &'k VerifierKey>,
) -> Result<(), LineError> {
    if earlier.any(|earlier| earlier.same_public_key(key)) {
        return Err(LineError::DuplicateKey { what });
    }
    Ok(())
}

fn vkey_text(key: &VerifierKey) -> String {
    alloc::format!("{key}")
}

fn push_items(out: &mut Vec<u8>, items: &[&[u8]], url: Option<&[u8]>) {
    let items: Vec<&[u8]> = items.iter().copied().chain(url).collect();
    out.extend_from_slice(&items.join(&b' '));
    out.push(b'\n');
}
