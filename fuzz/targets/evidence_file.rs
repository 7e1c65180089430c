//! What each target does with its input: whatever archive is read is written in our one way and read
//! again, and nothing panics. Each says whether the reader accepted.

use std::io::{Cursor, Read as _, Write as _};

use evidence_file::zip::{Method, Zip, ZipWriter};

/// Bytes that are unpacked of one archive.
const BYTES_MAX: u64 = 1 << 20;

type Files = Vec<(String, Vec<u8>)>;

fn read(input: &[u8]) -> Option<Files> {
    let zip = Zip::open(Cursor::new(input)).ok()?;
    let read = |name: &str| {
        let mut bytes = Vec::new();
        zip.reader(name)?.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some((name.to_owned(), bytes))
    };
    zip.names().map(read).collect()
}

/// Zip archives.
pub(crate) fn zip(input: &[u8]) -> bool {
    let Some(files) = read(input) else { return false };
    for method in [Method::Stored, Method::Deflated] {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in &files {
            writer.start(name, method, BYTES_MAX).expect("memory takes it");
            writer.write_all(bytes).expect("memory takes it");
        }
        let again = writer.finish().expect("memory takes it").into_inner();
        assert_eq!(read(&again).as_ref(), Some(&files), "what was written is read");
    }
    true
}
