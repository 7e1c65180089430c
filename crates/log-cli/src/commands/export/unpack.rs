//! An archive into a folder.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use base::durable;
use evidence_file::zip::Zip;

use super::download::Downloaded;
use super::{ExportError, parent};
use crate::error::CliError;

/// Unpacks into a folder that appears whole and synced, or not at all. Names are those that an evidence
/// file has: the reader of the archive refuses all others.
pub(super) fn unpack(file: &Downloaded, target: &Path) -> Result<(), CliError> {
    let unwritten = |source| CliError::Write { path: target.to_owned(), source };
    let zip = Zip::open(file.reopen()?).map_err(|source| ExportError::NotAnArchive { source })?;
    let aside =
        tempfile::Builder::new().prefix(".cairn-").suffix(".part").tempdir_in(parent(target));
    let aside = aside.map_err(unwritten)?;
    for name in zip.names() {
        let Some(mut reader) = zip.reader(name) else { continue };
        let path = aside.path().join(name);
        let written = fs::create_dir_all(parent(&path))
            .and_then(|()| File::create_new(&path))
            .and_then(|mut file| io::copy(&mut reader, &mut file).map(|_| file))
            .and_then(|file| file.sync_all());
        written.map_err(unwritten)?;
    }
    let proofs = aside.path().join("proofs");
    for folder in [proofs.as_path(), aside.path()].into_iter().filter(|it| it.exists()) {
        durable::sync_dir(folder).map_err(|error| unwritten(error.source))?;
    }
    if target.symlink_metadata().is_ok() {
        return Err(CliError::Exists { path: target.to_owned() });
    }
    // From here on the folder is the caller's.
    durable::rename(aside.path(), target).map_err(|error| unwritten(error.source))?;
    let _renamed = aside.keep();
    Ok(())
}
