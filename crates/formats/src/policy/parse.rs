//! Reading a policy line by line: every rule about names, duplicates and thresholds.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{
    GROUPS_MAX, Group, LOGS_MAX, Log, Member, NONE, Policy, Quorum, WITNESSES_MAX, Witness,
};
use crate::key::{KeyError, VerifierKey};
use crate::parse::{self, NumberError};

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

/// What has been read so far.
#[derive(Default)]
pub(super) struct Parser {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Option<Quorum>,
    names: BTreeMap<Box<[u8]>, Named>,
}

/// A defined name, and whether a group has it already.
struct Named {
    stands_for: Member,
    is_member: bool,
}

impl Parser {
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), LineError> {
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
        let quorum = if name == NONE {
            Quorum::None
        } else {
            let named = self.names.get(name);
            let unknown = || LineError::UnknownName { name: name.into() };
            Quorum::Of(named.ok_or_else(unknown)?.stands_for)
        };
        self.quorum = Some(quorum);
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

    pub(super) fn finish(self) -> Option<Policy> {
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
