//! The folder of a running browser, and the removal of those whose server died.

use std::{
    fs::{DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Held by the server for as long as the folder is in use; the operating system lets go of it whatever happens.
const LOCK: &str = "lock";
/// Files that pages sent, by their id.
const DOWNLOADS: &str = "downloads";
/// Files of the session that pages may be given.
const UPLOADS: &str = "uploads";

/// The folder of one browser. Dropping it removes the folder.
#[derive(Debug)]
pub(crate) struct Profile {
    folder: TempDir,
    _lock: File,
}

impl Profile {
    /// Makes one below `parent`, for a browser that runs as the user `owner` if it is another one.
    ///
    /// # Errors
    /// When the disk does not let us.
    pub(crate) fn create(parent: &Path, owner: Option<u32>) -> io::Result<Self> {
        // Another user passes through the parent without seeing what else is in it.
        let mode = if owner.is_some() { 0o711 } else { 0o700 };
        DirBuilder::new().recursive(true).mode(mode).create(parent)?;
        let folder = tempfile::Builder::new().prefix("browser-").tempdir_in(parent)?;
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700))?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        for name in [DOWNLOADS, UPLOADS, "home"] {
            let path = folder.path().join(name);
            DirBuilder::new().mode(0o700).create(&path)?;
            chown(&path, owner, owner)?;
        }
        chown(folder.path(), owner, owner)?;
        Ok(Self { folder, _lock: lock })
    }

    /// What the browser takes for its home, and keeps its own files in.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Where it puts files that pages sent.
    pub(crate) fn downloads(&self) -> PathBuf {
        self.folder.path().join(DOWNLOADS)
    }

    /// Where it finds files that pages are given.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.folder.path().join(UPLOADS)
    }
}

/// Removes the folders below `parent` that no living server holds. Returns how many.
pub(crate) fn sweep(parent: &Path) -> usize {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    folders.filter(|folder| is_abandoned(folder)).filter(|folder| removed(folder)).count()
}

fn is_abandoned(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        // Another server may be making it right now; nothing else is in it then.
        Err(_) => folder.join("home").is_dir(),
    }
}

fn removed(folder: &Path) -> bool {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove what a browser left behind");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_without_a_server_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let held = Profile::create(parent.path(), None).unwrap();
        let left = Profile::create(parent.path(), None).unwrap();
        let Profile { folder, _lock: lock } = left;
        let left = folder.keep();
        drop(lock);
        assert_eq!(sweep(parent.path()), 1);
        assert!(!left.exists() && held.downloads().is_dir());
        drop(held);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
        assert_eq!(sweep(Path::new("/nowhere")), 0);
    }
}
