//! The files that paths name: files as they are, and of folders those with a fitting name.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::ImportError;
use crate::error::CliError;

/// Files of one import.
const FILES_MAX: usize = 1_000_000;
/// Bytes of a file, unpacked.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 30;

const GZIP: &[u8] = &[0x1f, 0x8b];

/// Every file that is meant, in the order of the paths and then of names.
pub(super) fn files(paths: &[PathBuf], endings: &[&str]) -> Result<Vec<PathBuf>, CliError> {
    let mut files = Vec::new();
    for path in paths {
        let unread = |source| CliError::Read { path: path.clone(), source };
        if !fs::metadata(path).map_err(unread)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut folders = vec![path.clone()];
        let before = files.len();
        while let Some(folder) = folders.pop() {
            list(&folder, endings, &mut files, &mut folders)?;
            if files.len() + folders.len() > FILES_MAX {
                let path = path.clone();
                return Err(ImportError::TooManyFiles { path, max: FILES_MAX }.into());
            }
        }
        files[before..].sort_unstable();
    }
    if files.is_empty() { Err(ImportError::Nothing.into()) } else { Ok(files) }
}

/// Links to folders are not followed, so that no folder is looked at twice.
fn list(
    folder: &Path,
    endings: &[&str],
    files: &mut Vec<PathBuf>,
    folders: &mut Vec<PathBuf>,
) -> Result<(), CliError> {
    let unread = |source| CliError::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(unread)?);
        let name = entry.file_name();
        let fits = name.to_str().is_some_and(|name| endings.iter().any(|it| name.ends_with(it)));
        if kind.is_dir() {
            folders.push(path);
        } else if fits && (kind.is_file() || path.is_file()) {
            files.push(path);
        }
    }
    Ok(())
}

/// Why a file cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("it is cut short, or damaged: gzip does not reach its end")]
    Gzip,
    #[error("it has more than {FILE_BYTES_MAX} bytes, unpacked")]
    TooLarge,
}

/// The bytes of a file, unpacked if it is gzip, all members of it. One that is cut gives nothing.
pub(super) fn unpacked(path: &Path) -> Result<Vec<u8>, UnpackError> {
    let mut packed = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut packed)?;
    if !packed.starts_with(GZIP) {
        return bounded(packed);
    }
    let mut bytes = Vec::new();
    let mut decoder = MultiGzDecoder::new(packed.as_slice()).take(FILE_BYTES_MAX + 1);
    decoder.read_to_end(&mut bytes).map_err(|_| UnpackError::Gzip)?;
    bounded(bytes)
}

fn bounded(bytes: Vec<u8>) -> Result<Vec<u8>, UnpackError> {
    let fits = u64::try_from(bytes.len()).is_ok_and(|bytes| bytes <= FILE_BYTES_MAX);
    if fits { Ok(bytes) } else { Err(UnpackError::TooLarge) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn write(path: &Path, bytes: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create_new(path).unwrap().write_all(bytes).unwrap();
    }

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn folders_give_what_fits_and_files_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["d/b/2.json.gz", "d/a/1.json", "d/readme.txt", "named.txt"] {
            write(&path(name), b"x");
        }
        let found = files(&[path("named.txt"), path("d")], &[".json", ".json.gz"]).unwrap();
        assert_eq!(found, [path("named.txt"), path("d/a/1.json"), path("d/b/2.json.gz")]);
        fs::create_dir(path("empty")).unwrap();
        let nothing = files(&[path("empty")], &[".json"]).unwrap_err();
        assert!(matches!(nothing, CliError::Import(ImportError::Nothing)), "{nothing:?}");
        assert!(files(&[path("absent")], &[]).is_err());
    }

    #[test]
    fn all_members_of_a_file_are_unpacked_and_a_cut_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let both = [packed("one,"), packed("two")].concat();
        write(&path, &both);
        assert_eq!(unpacked(&path).unwrap(), b"one,two");
        for cut in [both.len() - 1, both.len() - packed("two").len() + 5, 3] {
            fs::remove_file(&path).unwrap();
            write(&path, &both[..cut]);
            assert!(matches!(unpacked(&path), Err(UnpackError::Gzip)), "{cut}");
        }
    }
}
