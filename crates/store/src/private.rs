//! Files that hold secrets are for the server's user alone, whatever its umask.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// What others may do.
const OTHERS: u32 = 0o077;

/// Makes a folder, and what leads to it, for this user alone; one that is there stays as it is.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

/// Makes a file for this user alone, also when it is there already.
pub(crate) fn make_file(file: &Path) -> io::Result<fs::File> {
    let opened = fs::File::options().create(true).truncate(false).write(true).mode(FILE_MODE).open(file)?;
    close_to_others(file)?;
    Ok(opened)
}

/// What a probe writes: more than a disk has left that takes no more commits.
static PROBE: [u8; 65_536] = [0; 65_536];

/// Whether something can be written here, found out by doing it.
pub(crate) fn probe(file: &Path) -> io::Result<()> {
    let written = make_file(file).and_then(|mut probe| {
        probe.write_all(&PROBE)?;
        probe.sync_all()
    });
    // Also what was only half written, or it would keep the disk full.
    let removed = fs::remove_file(file);
    written.and(removed)
}

/// Takes from others what they may do with a file that is there.
pub(crate) fn close_to_others(file: &Path) -> io::Result<()> {
    let mode = match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => metadata.permissions().mode(),
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match fs::set_permissions(file, fs::Permissions::from_mode(FILE_MODE)) {
        // Of another user, who decides.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!("others may read {}, and it is not ours to change", file.display());
            Ok(())
        }
        outcome => outcome,
    }
}
