//! Trust policies: which logs, which witnesses, and how many of them.
//!
//! ```text
//! log <vkey> [<url>]
//! witness <name> <vkey> [<url>]
//! group <name> all|any|<k> <name>...
//! quorum <name>|none
//! ```
//!
//! <https://c2sp.org/tlog-policy>. Names and URLs are opaque octets. A line may only name what
//! stands above it, so a policy has no cycles, and each name is a member of at most one group, so
//! that a witness counts in one way only.

mod parse;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;

use crate::checkpoint::{CheckpointError, SignedCheckpoint, VerifiedCheckpoint};
use crate::key::VerifierKey;
use crate::note::VerifiedSignature;
use crate::parse::Conversion;
use crate::trust::TrustError;

pub use parse::LineError;
use parse::Parser;

/// Bytes a policy file may have.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;

/// Logs a policy may list. The format asks for at least 32, as for witnesses and groups.
pub const LOGS_MAX: usize = 256;

/// Witnesses a policy may list.
pub const WITNESSES_MAX: usize = 256;

/// Groups a policy may define.
pub const GROUPS_MAX: usize = 256;

/// The word for a quorum without witnesses. No name may be this word.
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
    /// An editor, or a transfer as text, changed the file.
    #[error("{0}")]
    Converted(Conversion),
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

/// The log signed, and too few witnesses cosigned.
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

    /// Its URL, opaque: the application decides what it means.
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

    /// Whether both witnesses seem to have one operator.
    fn looks_like(&self, other: &Self) -> bool {
        let same_url = self.url.is_some() && self.url == other.url;
        same_url || self.key.name() == other.key.name()
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

/// What has to have cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quorum {
    /// `quorum none`: nobody.
    None,
    /// A witness or group.
    Of(Member),
}

/// A whole policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Quorum,
    /// The keys of logs, then of witnesses: what a note is verified with.
    keys: Vec<VerifierKey>,
}

impl Policy {
    /// Parses a policy file. Blanks and comments are free; everything else has one spelling.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let converted = |error| Conversion::of(bytes).map_or(error, PolicyError::Converted);
        Self::parse_lines(bytes).map_err(converted)
    }

    fn parse_lines(bytes: &[u8]) -> Result<Self, PolicyError> {
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
            let threshold = format!("{}", group.threshold);
            let mut items: Vec<&[u8]> =
                Vec::from([&b"group"[..], &group.name, threshold.as_bytes()]);
            items.extend(group.members.iter().map(|&member| self.name_of(member)));
            push_items(&mut out, &items, None);
        }
        let quorum = match self.quorum {
            Quorum::None => NONE,
            Quorum::Of(member) => self.name_of(member),
        };
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

    /// Pairs of witnesses that look like one operator's and may count twice: they share the name of
    /// their key, or their URL, and no group with a threshold of one holds both.
    pub fn counted_twice(&self) -> Vec<(&Witness, &Witness)> {
        let in_any_group = |one: usize, other: usize| {
            let holds = |group: &&Group, index| group.members.contains(&Member::Witness(index));
            let any = self.groups.iter().filter(|group| group.threshold == 1);
            any.into_iter().any(|group| holds(&group, one) && holds(&group, other))
        };
        let pairs = (0..self.witnesses.len())
            .flat_map(|one| (one + 1..self.witnesses.len()).map(move |other| (one, other)));
        pairs
            .filter(|(one, other)| !in_any_group(*one, *other))
            .map(|(one, other)| (&self.witnesses[one], &self.witnesses[other]))
            .filter(|(one, other)| one.looks_like(other))
            .collect()
    }

    /// Whether the quorum is `none`.
    pub fn needs_no_witness(&self) -> bool {
        self.quorum == Quorum::None
    }

    /// Verifies that a log of this policy signed the checkpoint, and that a quorum of witnesses
    /// cosigned it. A bad signature of any key of the policy refuses the checkpoint.
    pub fn verify(&self, signed: &SignedCheckpoint) -> Result<VerifiedCheckpoint, TrustError> {
        let is_log = |key: &VerifierKey| self.logs.iter().any(|log| log.key == *key);
        self.checked(signed.verify_of_log(&self.keys, is_log))
    }

    /// As [`Policy::verify`], with the log's keys known from elsewhere instead of the policy's: a
    /// log that asks whether its own checkpoint may be published.
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

    /// Whether the witnesses for which `counts` is true form a quorum.
    pub fn is_quorum_of(&self, counts: impl Fn(&Witness) -> bool) -> bool {
        let Quorum::Of(quorum) = self.quorum else {
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

fn vkey_text(key: &VerifierKey) -> String {
    format!("{key}")
}

fn push_items(out: &mut Vec<u8>, items: &[&[u8]], url: Option<&[u8]>) {
    let items: Vec<&[u8]> = items.iter().copied().chain(url).collect();
    out.extend_from_slice(&items.join(&b' '));
    out.push(b'\n');
}
