use std::io::{Cursor, Read as _, Write as _};

use super::directory::{self, Bytes};
use super::*;

type Files = Vec<(String, Vec<u8>)>;

fn archive(method: Method, bytes_max: u64) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files() {
        writer.start(&name, method, bytes_max).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn files() -> Files {
    let long = b"0123456789".repeat(20_000);
    let all = [("checkpoint", &b"x\n"[..]), ("events.ndjson", &long), ("keys.txt", b"")];
    all.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into()
}

fn small() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, method) in [("checkpoint", Method::Stored), ("keys.txt", Method::Deflated)] {
        writer.start(name, method, if name == "keys.txt" { u64::MAX } else { 9 }).unwrap();
        writer.write_all(b"one two one two").unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn read(bytes: &[u8]) -> Option<Files> {
    let zip = Zip::open(Cursor::new(bytes)).ok()?;
    let read = |name: &str| {
        let mut bytes = Vec::new();
        zip.reader(name)?.read_to_end(&mut bytes).ok()?;
        Some((name.to_owned(), bytes))
    };
    zip.names().map(read).collect()
}

#[test]
fn what_was_written_is_read() {
    for method in [Method::Stored, Method::Deflated] {
        for bytes_max in [1_000_000, u64::MAX] {
            assert_eq!(read(&archive(method, bytes_max)), Some(files()), "{method:?} {bytes_max}");
        }
    }
    assert!(archive(Method::Deflated, 0).len() < 4_000);
    let empty = ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
    assert_eq!(read(&empty), Some(vec![]));
}

/// Whatever bit is another one, the files are the same, as where a time was changed, or nothing is
/// read.
#[test]
fn no_flipped_bit_changes_a_file() {
    let bytes = small();
    let files = read(&bytes).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let found = read(&flipped);
            assert!(found.is_none() || found.as_ref() == Some(&files), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn no_part_of_an_archive_is_one() {
    let bytes = small();
    for end in 0..bytes.len() {
        assert_eq!(read(&bytes[..end]), None, "{end}");
        assert_eq!(read(&bytes[bytes.len() - end..]), None, "{end}");
    }
}

#[test]
fn a_bomb_gives_no_more_than_it_states() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start("checkpoint", Method::Deflated, 0).unwrap();
    writer.write_all(&vec![0; 1 << 20]).unwrap();
    let mut bytes = writer.finish().unwrap().into_inner();
    let size = (1_u32 << 20).to_le_bytes();
    while let Some(at) = bytes.windows(4).position(|it| it == size) {
        bytes[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
    }
    let zip = Zip::open(Cursor::new(bytes)).unwrap();
    let mut out = Vec::new();
    let error = zip.reader("checkpoint").unwrap().read_to_end(&mut out).unwrap_err();
    assert_eq!(error.downcast::<ZipError>().unwrap(), ZipError::Size { name: "checkpoint".into() });
    assert_eq!(out.len(), 10);
}

#[test]
fn bytes_belong_to_an_entry() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    assert!(writer.write_all(b"x").is_err());
    writer.start("checkpoint", Method::Stored, 1).unwrap();
    assert!(writer.write_all(b"x").is_ok());
}

/// Sizes and offsets from 2^32 - 1 on stand in the ZIP64 field, in the directory's order.
#[test]
fn what_does_not_fit_stands_in_a_field_of_its_own() {
    const FOUR: u64 = 0xffff_ffff;
    for (packed, size, offset) in
        [(1, 1, 0), (FOUR, FOUR, 0), (9, FOUR, 3), (FOUR + 7, FOUR + 9, FOUR + 1), (5, 7, FOUR)]
    {
        let header = write::central_of("events.ndjson", packed, size, offset);
        let mut bytes = Bytes(&header);
        let entry = directory::central(&mut bytes).unwrap();
        assert_eq!((entry.packed, entry.size, entry.offset), (packed, size, offset));
        assert_eq!(bytes.0, [0; 0]);
    }
}
