//! What `append` reads: whole files, lines, or the elements of JSON arrays.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::EntryBytes;
use crate::error::CliError;
use crate::files::{self, ENTRY_BYTES_MAX};

/// Largest JSON document taken: it is held in memory.
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Buffer for reading lines.
const LINE_BUFFER_BYTES: usize = 256 * 1024;

/// Where entries come from.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) files: Vec<PathBuf>,
    pub(super) split: Split,
}

/// What one entry is.
#[derive(Clone, Debug)]
pub(super) enum Split {
    Whole,
    Lines { skip_empty: bool },
    JsonArray { pointer: Pointer },
}

/// An entry, and where it was read.
#[derive(Clone, Debug)]
pub(super) struct InputEntry {
    pub(super) bytes: EntryBytes,
    pub(super) place: Place,
}

/// Where an entry was read, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file: PathBuf,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// From 1.
    Line(u64),
    /// From 0.
    Element(u64),
}

/// A JSON pointer (RFC 6901): its unescaped tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

/// Why a file does not hold what the options say.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("{place} is empty, and an entry has at least one byte")]
    Empty { place: Place },
    #[error("{place} has more than {ENTRY_BYTES_MAX} bytes, the longest an entry may be")]
    TooLong { place: Place },
    #[error("{file} is no JSON")]
    Json { file: PathBuf, source: serde_json::Error },
    #[error("{file} has nothing at {token:?} of the JSON pointer")]
    NotFound { file: PathBuf, token: String },
    #[error("what the JSON pointer names in {file} is no array")]
    NoArray { file: PathBuf },
}

impl InputError {
    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Empty { place } if matches!(place.part, Part::Line(_)) => {
                "pass --skip-empty to leave empty lines out; what was printed is in the log"
            }
            Self::Empty { .. } => "leave it out; what was printed is in the log",
            Self::TooLong { .. } => {
                "append its hash, or parts of it; what was printed is in the log"
            }
            Self::Json { .. } => "check the file; --lines takes one JSON document a line",
            Self::NotFound { .. } | Self::NoArray { .. } => {
                "pass the pointer of an array, for example /Records, or \"\" for the whole document"
            }
        }
    }
}

impl Input {
    /// Reads every entry in order, until `take` wants no more.
    pub(super) fn read(&self, mut take: impl FnMut(InputEntry) -> bool) -> Result<(), CliError> {
        for file in &self.files {
            let go_on = match &self.split {
                Split::Whole => read_whole(file, &mut take),
                Split::Lines { skip_empty } => read_lines(file, *skip_empty, &mut take),
                Split::JsonArray { pointer } => read_elements(file, pointer, &mut take),
            };
            if !go_on? {
                break;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let stdin = self.file == Path::new("-");
        match self.part {
            Part::Whole if stdin => write!(f, "stdin"),
            Part::Whole => write!(f, "{file}"),
            Part::Line(line) if stdin => write!(f, "line {line} of stdin"),
            Part::Line(line) => write!(f, "line {line} of {file}"),
            Part::Element(element) if stdin => write!(f, "element {element} of stdin"),
            Part::Element(element) => write!(f, "element {element} of {file}"),
        }
    }
}

/// A JSON pointer from the command line.
pub(super) fn parse_pointer(text: &str) -> Result<Pointer, String> {
    if text.is_empty() {
        return Ok(Pointer(Vec::new()));
    }
    let tokens =
        text.strip_prefix('/').ok_or("a JSON pointer starts with /, for example /Records")?;
    let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
    Ok(Pointer(tokens.split('/').map(unescape).collect()))
}

fn read_whole(file: &Path, take: &mut impl FnMut(InputEntry) -> bool) -> Result<bool, CliError> {
    let place = Place { file: file.to_owned(), part: Part::Whole };
    let bytes = match files::read(file, ENTRY_BYTES_MAX) {
        Err(CliError::TooLarge { .. }) => return Err(InputError::TooLong { place }.into()),
        read => read?,
    };
    Ok(take(entry(bytes.into(), place)?))
}

fn read_lines(
    file: &Path,
    skip_empty: bool,
    take: &mut impl FnMut(InputEntry) -> bool,
) -> Result<bool, CliError> {
    let unreadable = |source| CliError::Read { path: file.to_owned(), source };
    let mut reader = open(file).map_err(unreadable)?;
    for line in 1.. {
        let place = Place { file: file.to_owned(), part: Part::Line(line) };
        let mut bytes = Vec::new();
        // One byte more than an entry may have, and the line feed: so we notice a longer line
        // without reading all of it into memory.
        let mut limited = reader.by_ref().take(ENTRY_BYTES_MAX + 2);
        if limited.read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            break;
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.is_empty() && skip_empty {
            continue;
        }
        if !take(entry(bytes.into(), place)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_elements(
    file: &Path,
    pointer: &Pointer,
    take: &mut impl FnMut(InputEntry) -> bool,
) -> Result<bool, CliError> {
    let document = files::read(file, DOCUMENT_BYTES_MAX)?;
    let elements = elements(file, &document, pointer)?;
    for (element, number) in elements.into_iter().zip(0..) {
        let place = Place { file: file.to_owned(), part: Part::Element(number) };
        let bytes = EntryBytes::copy_from_slice(element.get().as_bytes());
        if !take(entry(bytes, place)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The elements, byte for byte as they stand in the document.
fn elements<'a>(
    file: &Path,
    document: &'a [u8],
    pointer: &Pointer,
) -> Result<Vec<&'a RawValue>, InputError> {
    let no_json = |source| InputError::Json { file: file.to_owned(), source };
    let mut here: &RawValue = serde_json::from_slice(document).map_err(no_json)?;
    for token in &pointer.0 {
        let missing = || InputError::NotFound { file: file.to_owned(), token: token.clone() };
        here = child(here, token).ok_or_else(missing)?;
    }
    serde_json::from_str(here.get()).map_err(|_| InputError::NoArray { file: file.to_owned() })
}

fn child<'a>(parent: &'a RawValue, token: &str) -> Option<&'a RawValue> {
    if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(parent.get()) {
        return members.get(token).copied();
    }
    let elements: Vec<&RawValue> = serde_json::from_str(parent.get()).ok()?;
    elements.get(token.parse::<usize>().ok()?).copied()
}

fn entry(bytes: EntryBytes, place: Place) -> Result<InputEntry, InputError> {
    if bytes.is_empty() {
        return Err(InputError::Empty { place });
    }
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= ENTRY_BYTES_MAX) {
        return Ok(InputEntry { bytes, place });
    }
    Err(InputError::TooLong { place })
}

fn open(file: &Path) -> io::Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::with_capacity(LINE_BUFFER_BYTES, io::stdin())));
    }
    Ok(Box::new(BufReader::with_capacity(LINE_BUFFER_BYTES, File::open(file)?)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What is read from a file of these bytes, and the error that ended it.
    fn read(bytes: &[u8], split: Split) -> (Vec<Vec<u8>>, Option<String>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let input = Input { files: vec![file.path().to_owned()], split };
        let mut entries = Vec::new();
        let ended = input.read(|entry| {
            entries.push(entry.bytes.to_vec());
            true
        });
        let name = file.path().display().to_string();
        (entries, ended.err().map(|error| error.to_string().replace(&name, "FILE")))
    }

    fn lines(bytes: &[u8], skip_empty: bool) -> (Vec<Vec<u8>>, Option<String>) {
        read(bytes, Split::Lines { skip_empty })
    }

    fn array(bytes: &[u8], pointer: &str) -> (Vec<Vec<u8>>, Option<String>) {
        read(bytes, Split::JsonArray { pointer: parse_pointer(pointer).unwrap() })
    }

    #[test]
    fn a_line_loses_its_line_feed_and_nothing_else() {
        let (entries, error) = lines(b" a \r\nb\n\xff\t\nlast", false);
        assert_eq!(entries, [&b" a \r"[..], b"b", b"\xff\t", b"last"]);
        assert_eq!(error, None);
    }

    #[test]
    fn an_empty_line_is_named_or_skipped() {
        let (entries, error) = lines(b"a\n\nb\n", false);
        assert_eq!(entries, [b"a"]);
        insta::assert_snapshot!(error.unwrap(), @"line 2 of FILE is empty, and an entry has at least one byte");
        let (entries, error) = lines(b"a\n\nb\n\n", true);
        assert_eq!((entries, error), (vec![b"a".to_vec(), b"b".to_vec()], None));
    }

    #[test]
    fn the_longest_line_passes_and_one_byte_more_does_not() {
        let longest = vec![b'x'; 65_535];
        for end in ["", "\n"] {
            let (entries, error) = lines(&[&longest, end.as_bytes()].concat(), false);
            assert_eq!((entries.len(), error), (1, None));
            let (entries, error) = lines(&[&longest, &b"x"[..], end.as_bytes()].concat(), false);
            assert!(entries.is_empty());
            insta::allow_duplicates! {
                insta::assert_snapshot!(error.unwrap(), @"line 1 of FILE has more than 65535 bytes, the longest an entry may be");
            }
        }
    }

    #[test]
    fn whole_files_keep_every_byte() {
        assert_eq!(read(b"a\nb\n", Split::Whole), (vec![b"a\nb\n".to_vec()], None));
        let (_, error) = read(b"", Split::Whole);
        insta::assert_snapshot!(error.unwrap(), @"FILE is empty, and an entry has at least one byte");
        assert!(read(&vec![b'x'; 65_536], Split::Whole).1.is_some());
    }

    #[test]
    fn elements_keep_every_byte() {
        let document = br#"{"x": [9], "Records" : [ {"b":1.0,  "a":"\u00e9" } ,2e0,"\/" ]}"#;
        let (entries, error) = array(document, "/Records");
        assert_eq!(entries, [&br#"{"b":1.0,  "a":"\u00e9" }"#[..], b"2e0", br#""\/""#]);
        assert_eq!(error, None);
        assert_eq!(array(b"[1]", "").0, [b"1"]);
        assert_eq!(array(br#"[0,{"a/b":{"~":[7]}}]"#, "/1/a~1b/~0").0, [b"7"]);
    }

    #[test]
    fn what_is_no_array_is_named() {
        let error = |bytes: &[u8], pointer| array(bytes, pointer).1.unwrap();
        insta::assert_snapshot!(error(b"{", "/a"), @"FILE is no JSON");
        insta::assert_snapshot!(error(b"{}", "/a"), @r#"FILE has nothing at "a" of the JSON pointer"#);
        insta::assert_snapshot!(error(br#"{"a":1}"#, "/a"), @"what the JSON pointer names in FILE is no array");
        insta::assert_snapshot!(parse_pointer("Records").unwrap_err(), @"a JSON pointer starts with /, for example /Records");
    }
}
